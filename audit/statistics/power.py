"""How small a difference of two proportions a sample can detect, and how large a sample a difference needs.

The two-sided test at level α of x/m against y/n detects the gap δ with power 1 − β where |δ| ≥ z(1 −
α/2)·√(p̄(1 − p̄)(1/m + 1/n)) + z(1 − β)·√(p(1 − p)/m + q(1 − q)/n), with q the reference's rate, p = q ± δ
and p̄ their weighted mean: Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions (2003),
section 4.3, doi:10.1002/0471445428. Of the two directions the worse one counts.
"""

from __future__ import annotations

import math

from scipy.special import ndtri

__all__ = ["examples_needed", "minimum_detectable_gap"]

_MOST = 1 << 40


def minimum_detectable_gap(
    q: float, m: float, n: float, *, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """The smallest gap from the rate `q` of n examples that m examples of another group would show.

    None where no gap that is possible would be detected.
    """
    gaps = [_in_direction(q, m, n, sign, alpha, power) for sign in (-1, 1)]
    possible = [gap for gap in gaps if gap is not None]
    return max(possible) if possible else None


def examples_needed(q: float, gap: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """The number of examples of each of two groups that detects `gap`, one way or the other."""
    sides = [p for p in (q - gap, q + gap) if 0 <= p <= 1]
    if not sides or gap <= 0:
        raise ValueError(f"no rate lies {gap} from {q}")

    def enough(n: int) -> bool:
        return all(abs(p - q) >= _reach(p, q, n, n, alpha, power) for p in sides)

    low, high = 1, 2
    while not enough(high):
        low, high = high, high * 2
        if high > _MOST:
            raise ValueError(f"a gap of {gap} is too small for any sample")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _in_direction(q: float, m: float, n: float, sign: int, alpha: float, power: float) -> float | None:
    far = 1 - q if sign > 0 else q
    if far <= 0 or far < _reach(q + sign * far, q, m, n, alpha, power):
        return None
    near = 0.0
    for _ in range(60):
        gap = (near + far) / 2
        detected = gap >= _reach(q + sign * gap, q, m, n, alpha, power)
        near, far = (near, gap) if detected else (gap, far)
    return far


def _reach(p: float, q: float, m: float, n: float, alpha: float, power: float) -> float:
    mean = (m * p + n * q) / (m + n)
    null = math.sqrt(max(0.0, mean * (1 - mean)) * (1 / m + 1 / n))
    alternative = math.sqrt(max(0.0, p * (1 - p)) / m + max(0.0, q * (1 - q)) / n)
    return float(ndtri(1 - alpha / 2)) * null + float(ndtri(power)) * alternative
