"""Intervals for proportions, their differences and their ratios, the area under the ROC curve, and means.

Wilson, J. Am. Stat. Assoc. 22 (1927), doi:10.1080/01621459.1927.10502953 · Clopper and Pearson, Biometrika 26
(1934), doi:10.1093/biomet/26.4.404 · Newcombe, Stat. Med. 17 (1998) 873, method 10 · Bonett and Price,
J. Educ. Behav. Stat. 37 (2012), doi:10.3102/1076998611411915 · Koopman, Biometrics 40 (1984),
doi:10.2307/2531405 · DeLong et al., Biometrics 44 (1988), doi:10.2307/2531595, by the midranks of Sun and Xu,
doi:10.1109/LSP.2014.2337313 · Efron, J. Am. Stat. Assoc. 82 (1987), doi:10.1080/01621459.1987.10478410.

All intervals are two-sided. Nothing observed says nothing: with n = 0 an interval is the whole range of
the quantity ([0, 1], [-1, 1], [0, ∞)), and the caller, who has no value to report, gives the reason.
Errors: `ValueError` for counts that cannot be (k > n, negative) and confidences outside (0, 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import betaincinv, expit, logit, ndtr, ndtri, stdtrit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "AucEstimate",
    "Interval",
    "auc_delong",
    "auc_interval",
    "average",
    "clopper_pearson",
    "difference",
    "mean_bootstrap",
    "newcombe",
    "paired_difference",
    "ratio",
    "satterthwaite",
    "share_with_luck",
    "wilson",
]

_CHUNK = 1 << 22
"""Resampled values held at once by the bootstrap: 32 MB of float64."""


class Interval(NamedTuple):
    """`low` ≤ `high`."""

    low: float
    high: float


class AucEstimate(NamedTuple):
    """The area under the ROC curve and its interval; None where a side has no examples."""

    value: float | None
    low: float
    high: float


def _quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    return float(ndtri(0.5 + confidence / 2))


def _require_counts(successes: float, n: float) -> None:
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} cannot be")


def wilson(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """The score interval of a proportion: all p that a two-sided score test does not reject."""
    _require_counts(successes, n)
    z = _quantile(confidence)
    total = n + z * z
    centre = (successes + z * z / 2) / total
    spread = successes * (n - successes) / n if n else 0.0
    half = z * math.sqrt(spread + z * z / 4) / total
    return Interval(
        0.0 if successes == 0 else max(0.0, centre - half), 1.0 if successes == n else min(1.0, centre + half)
    )


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The exact interval of a proportion: never covers less than `confidence`, usually more."""
    _require_counts(successes, n)
    tail = float(ndtr(-_quantile(confidence)))
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return Interval(low, high)


def difference(a: float, interval_a: Interval, b: float, interval_b: Interval) -> Interval:
    """a − b of two independent estimates, by squaring and adding the distances to their own limits.

    Newcombe's method 10 when both are Wilson intervals (also known as MOVER).
    """
    return Interval(
        a - b - math.hypot(a - interval_a.low, interval_b.high - b),
        a - b + math.hypot(interval_a.high - a, b - interval_b.low),
    )


def average(values: Sequence[float], intervals: Sequence[Interval]) -> Interval:
    """The mean of independent estimates, by the same squares (Zou and Donner, doi:10.1002/sim.3095)."""
    mean = sum(values) / len(values)
    pairs = list(zip(values, intervals, strict=True))
    below = math.hypot(*(value - interval.low for value, interval in pairs)) / len(pairs)
    above = math.hypot(*(interval.high - value for value, interval in pairs)) / len(pairs)
    return Interval(mean - below, mean + above)


def share_with_luck(share: float, *intervals: Interval) -> Interval:
    """A share that each of these would bound alone, by the same squares: all of their luck together."""
    below = math.hypot(*(share - interval.low for interval in intervals))
    above = math.hypot(*(interval.high - share for interval in intervals))
    return Interval(max(0.0, share - below), min(1.0, share + above))


def newcombe(successes_a: int, n_a: int, successes_b: int, n_b: int, confidence: float = 0.95) -> Interval:
    """The difference of two independent proportions, a − b."""
    wilson_a, wilson_b = wilson(successes_a, n_a, confidence), wilson(successes_b, n_b, confidence)
    if not (n_a and n_b):
        return Interval(-1.0, 1.0)
    return difference(successes_a / n_a, wilson_a, successes_b / n_b, wilson_b)


def paired_difference(a_N: NDArray[np.bool_], b_N: NDArray[np.bool_], confidence: float = 0.95) -> Interval:
    """The difference of two proportions measured on the same N examples, mean(a) − mean(b).

    Bonett and Price's adjusted Wald interval: one pseudo-observation in each discordant cell.
    """
    a_N, b_N = np.asarray(a_N, dtype=bool), np.asarray(b_N, dtype=bool)
    if a_N.shape != b_N.shape or a_N.ndim != 1:
        raise ValueError(f"paired outcomes of shapes {a_N.shape} and {b_N.shape}")
    z, n = _quantile(confidence), len(a_N)
    only_a = (int((a_N & ~b_N).sum()) + 1) / (n + 2)
    only_b = (int((b_N & ~a_N).sum()) + 1) / (n + 2)
    half = z * math.sqrt((only_a + only_b - (only_a - only_b) ** 2) / (n + 2))
    return Interval(max(-1.0, only_a - only_b - half), min(1.0, only_a - only_b + half))


def ratio(successes_a: int, n_a: int, successes_b: int, n_b: int, confidence: float = 0.95) -> Interval:
    """The ratio of two independent proportions, a / b, by Koopman's score interval; `high` may be ∞."""
    _require_counts(successes_a, n_a)
    _require_counts(successes_b, n_b)
    limit = _quantile(confidence) ** 2
    if not (n_a and n_b) or successes_a + successes_b == 0:
        return Interval(0.0, math.inf)

    def accepted(log_ratio: float) -> bool:
        return _koopman(math.exp(log_ratio), successes_a, n_a, successes_b, n_b) <= limit

    # A ratio of 0 or infinity has no logarithm: the search starts close to it.
    inside = math.log(max(successes_a, 1e-6) / n_a) - math.log(max(successes_b, 1e-6) / n_b)
    low = math.exp(_boundary(accepted, inside, -1)) if successes_a else 0.0
    high = math.exp(_boundary(accepted, inside, +1)) if successes_b else math.inf
    return Interval(low, high)


def _koopman(theta: float, x: int, m: int, y: int, n: int) -> float:
    """Squared score statistic of x/m = θ·y/n; the constrained likelihood is greatest at the smaller root."""
    a, b, c = (m + n) * theta, -(theta * (m + y) + x + n), x + y
    p_b = 2 * c / (-b + math.sqrt(max(0.0, b * b - 4 * a * c)))
    p_a = min(1.0, theta * p_b)
    variance = p_a * (1 - p_a) / m + theta * theta * p_b * (1 - p_b) / n
    gap = x / m - theta * y / n
    if variance <= 0:
        return 0.0 if abs(gap) < 1e-12 else math.inf
    return gap * gap / variance


def _boundary(accepted: Callable[[float], bool], inside: float, direction: int) -> float:
    """Where `accepted` turns false, going from `inside` in `direction`, by doubling, then bisection."""
    step = 0.5
    while accepted(inside + direction * step):
        step *= 2
    near, far = inside, inside + direction * step
    while abs(far - near) > 1e-12 * max(1.0, abs(near)):
        middle = (near + far) / 2
        near, far = (middle, far) if accepted(middle) else (near, middle)
    return near


def auc_delong(scores_pos: ArrayLike, scores_neg: ArrayLike, confidence: float = 0.95) -> AucEstimate:
    """P(score of a positive > score of a negative) + ½ P(equal), in O(n log n).

    The interval is DeLong's on the logit scale, with Student's t at Satterthwaite's degrees of freedom: with
    10 examples on one side the normal quantile covers 91 to 94 %. Where no variance was observed (the scores
    separate, or are all equal), it is the score interval of Newcombe, Stat. Med. 25 (2006),
    doi:10.1002/sim.2324.
    """
    pos_M, neg_N = np.asarray(scores_pos, dtype=np.float64), np.asarray(scores_neg, dtype=np.float64)
    m, n = len(pos_M), len(neg_N)
    if not (m and n):
        return AucEstimate(None, 0.0, 1.0)
    ranks = _midranks(np.concatenate([pos_M, neg_N]))
    above_M = (ranks[:m] - _midranks(pos_M)) / n
    below_N = 1 - (ranks[m:] - _midranks(neg_N)) / m
    auc = float(above_M.mean())
    variance, degrees = 0.0, math.inf
    if m > 1 and n > 1:
        parts = float(above_M.var(ddof=1) / m), float(below_N.var(ddof=1) / n)
        variance, degrees = sum(parts), satterthwaite(parts, (m, n))
    return auc_interval(auc, variance, m, n, degrees, confidence)


def satterthwaite(variances: tuple[float, float], sizes: tuple[float, float]) -> float:
    """Degrees of freedom of the sum of two means' variances (Biometrics Bulletin 2 (1946) 110)."""
    spread = sum(part**2 / (size - 1) for part, size in zip(variances, sizes, strict=True))
    return sum(variances) ** 2 / spread if spread > 0 else math.inf


def auc_interval(
    auc: float,
    variance: float,
    positives: float,
    negatives: float,
    degrees: float,
    confidence: float = 0.95,
) -> AucEstimate:
    """The interval of an area whose variance was estimated with so many degrees of freedom, as `auc_delong`
    has it.
    """
    z = _quantile(confidence)
    if variance <= 1e-15 or not 0 < auc < 1:
        return AucEstimate(auc, *_auc_score_interval(auc, positives, negatives, z))
    t = float(stdtrit(degrees, 0.5 + confidence / 2)) if math.isfinite(degrees) else z
    half = t * math.sqrt(variance) / (auc * (1 - auc))
    return AucEstimate(auc, float(expit(logit(auc) - half)), float(expit(logit(auc) + half)))


def _midranks(values_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, ties sharing their mean rank."""
    _, inverse_N, counts_U = np.unique(values_N, return_inverse=True, return_counts=True)
    last_U = np.cumsum(counts_U)
    middle: NDArray[np.float64] = (last_U - (counts_U - 1) / 2)[inverse_N]
    return middle


def _auc_score_interval(auc: float, m: float, n: float, z: float) -> Interval:
    size = (m + n) / 2 - 1

    def accepted(theta: float) -> bool:
        if not 0 < theta < 1:
            return theta == auc
        shape = (1 - theta) / (2 - theta) + theta / (1 + theta)
        variance = theta * (1 - theta) * (1 + size * shape) / (m * n)
        return (auc - theta) ** 2 <= z * z * variance

    return Interval(_boundary(accepted, auc, -1), _boundary(accepted, auc, +1))


def mean_bootstrap(
    values: ArrayLike, *, rng: np.random.Generator, confidence: float = 0.95, resamples: int = 2000
) -> Interval:
    """The mean of N independent values, by Efron's bias-corrected and accelerated bootstrap.

    N identical values give an interval of width 0: a bootstrap cannot see what was not sampled.
    Raises `ValueError` for fewer than two values.
    """
    values_N = np.asarray(values, dtype=np.float64)
    n = len(values_N)
    if n < 2:
        raise ValueError(f"a bootstrap needs two values or more, got {n}")
    mean, deviations_N = float(values_N.mean()), values_N - values_N.mean()
    squares = float((deviations_N**2).sum())
    if squares == 0:
        return Interval(mean, mean)
    means_B = np.empty(resamples)
    rows = max(1, _CHUNK // n)
    for start in range(0, resamples, rows):
        drawn = rng.integers(n, size=(min(rows, resamples - start), n))
        means_B[start : start + rows] = values_N[drawn].mean(axis=1)
    acceleration = float((deviations_N**3).sum()) / (6 * squares**1.5)
    below = (np.sum(means_B < mean) + np.sum(means_B == mean) / 2) / resamples
    bias = float(ndtri(np.clip(below, 0.5 / resamples, 1 - 0.5 / resamples)))
    low, high = (
        float(np.quantile(means_B, ndtr(_shifted(side * _quantile(confidence), bias, acceleration))))
        for side in (-1, 1)
    )
    return Interval(low, high)


def _shifted(z: float, bias: float, acceleration: float) -> Any:
    return bias + (bias + z) / (1 - acceleration * (bias + z))
