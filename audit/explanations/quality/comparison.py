"""Does one thing beat another on the same examples? Tests and simultaneous intervals.

Sign-flip permutation: if a map were worth no more than its control, each example's difference would as soon
have the other sign (Fisher's test for pairs). Max-t bootstrap: examples are resampled, all K mean differences
with them, and the quantile of the largest |t| gives intervals that hold for all K together (Romano and Wolf,
doi:10.1198/016214504000000539). Pigeonhole bootstrap: two random factors, say seeds and examples, are
resampled each (Owen, doi:10.1214/07-AOAS122); conservative.

Shapes: N examples, K comparisons, S seeds. Errors: `ValueError` for fewer than two examples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raiaudit.audit.statistics.intervals import Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["pigeonhole", "sign_flip", "simultaneous"]

_EXACT = 12
"""Up to this many examples all 2ⁿ signs are walked through."""


def sign_flip(gains: ArrayLike, *, rng: np.random.Generator, permutations: int = 9999) -> NDArray[np.float64]:
    """One-sided p-values of K mean gains N×K being above 0. NaN gains are left out of their own column."""
    gains_NK = np.nan_to_num(np.asarray(gains, dtype=np.float64))
    n = len(gains_NK)
    if n < 2:
        raise ValueError(f"a paired test needs two examples or more, got {n}")
    if n <= _EXACT:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        signs_PN = 1.0 - 2.0 * bits
    else:
        signs_PN = rng.integers(0, 2, size=(permutations, n)).astype(np.float64) * 2 - 1
    seen_K = gains_NK.sum(axis=0)
    # Sums that differ by rounding alone are equal.
    slack_K = 1e-9 * np.abs(gains_NK).sum(axis=0)
    atleast_K = (signs_PN @ gains_NK >= seen_K - slack_K).sum(axis=0)
    if n <= _EXACT:
        return np.asarray(atleast_K / len(signs_PN))
    return np.asarray((atleast_K + 1) / (len(signs_PN) + 1))


def simultaneous(
    gains: ArrayLike, *, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 2000
) -> list[Interval]:
    """Intervals of K mean gains N×K that hold together; one of zero width where nothing varies."""
    gains_NK = np.asarray(gains, dtype=np.float64)
    n = len(gains_NK)
    if n < 2:
        raise ValueError(f"a bootstrap needs two examples or more, got {n}")
    mean_K = gains_NK.mean(axis=0)
    centred_NK = gains_NK - mean_K
    error_K = centred_NK.std(axis=0, ddof=1) / np.sqrt(n)
    weights_RN = rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    shift_RK = weights_RN @ centred_NK / n
    spread_RK = np.sqrt(np.maximum(weights_RN @ centred_NK**2 / n - shift_RK**2, 0) / (n - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        t_RK = np.where(spread_RK > 0, np.abs(shift_RK) / spread_RK, 0.0)
    half_K = np.quantile(t_RK.max(axis=1), confidence) * error_K
    return [Interval(float(m - h), float(m + h)) for m, h in zip(mean_K, half_K, strict=True)]


def pigeonhole(
    values: ArrayLike, *, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 2000
) -> Interval:
    """The mean of S×N values over random seeds and random examples; NaN values are left out."""
    values_SN = np.asarray(values, dtype=np.float64)
    S, n = values_SN.shape
    if n < 2:
        raise ValueError(f"a bootstrap needs two examples or more, got {n}")
    there_SN = ~np.isnan(values_SN)
    filled_SN = np.nan_to_num(values_SN)
    seeds_RS = rng.multinomial(S, np.full(S, 1 / S), size=resamples).astype(np.float64)
    examples_RN = rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
    total_R = ((seeds_RS @ filled_SN) * examples_RN).sum(axis=1)
    count_R = ((seeds_RS @ there_SN) * examples_RN).sum(axis=1)
    means_R = total_R[count_R > 0] / count_R[count_R > 0]
    low, high = np.quantile(means_R, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))
