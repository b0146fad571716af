"""Fisher's exact test of many 2×2 tables at once: one-sided p-values, as logarithms.

Of N people K have the outcome; of the n in a group, x. With the outcome independent of the group, X is
hypergeometric given the margins, whatever the rate: P(X ≤ x) is a valid p-value at any count. Small tables
are summed term by term. Where the variance of X is at least 100 the double saddlepoint approximation of
Skovgaard, J. Appl. Probab. 24 (1987) 875, doi:10.2307/3214212, with continuity correction takes over: its
relative error there is below 0.1 % in either tail. Logarithms, because p-values of millions of people
underflow and must still be ordered.
Arrays of one shape throughout; counts are integers below 2⁵³.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln, log_ndtr

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

__all__ = ["log_p_few", "log_p_many"]

_SUMMED_BELOW = 100.0
_NEGLIGIBLE = 1e-16


def log_p_many(x: Integers, n: Integers, k: Integers, total: Integers) -> Floats:
    """log P(X ≥ x): that the group has at least as many by chance."""
    return log_p_few(n - x, n, total - k, total)


def log_p_few(x: Integers, n: Integers, k: Integers, total: Integers) -> Floats:
    """log P(X ≤ x): that the group has at most as many by chance; 0 where a margin is empty."""
    x_, n_, k_, total_ = (np.asarray(counts, dtype=np.float64) for counts in (x, n, k, total))
    log_p = np.zeros(np.broadcast(x_, n_, k_, total_).shape)
    x_, n_, k_, total_ = (np.broadcast_to(counts, log_p.shape) for counts in (x_, n_, k_, total_))
    open_ = x_ < np.minimum(n_, k_)
    low = open_ & (x_ * total_ <= n_ * k_)
    log_p[low] = _tail(x_[low], n_[low], k_[low], total_[low])
    high = open_ & ~low
    # Above the mean the other tail, P(X ≥ x + 1), is the small one.
    other = _tail((n_ - x_ - 1)[high], n_[high], (total_ - k_)[high], total_[high])
    log_p[high] = np.log1p(-np.exp(np.minimum(other, 0.0)))
    return np.minimum(log_p, 0.0)


def _tail(x: Floats, n: Floats, k: Floats, total: Floats) -> Floats:
    """log P(X ≤ x) for x at most about the mean."""
    variance = n * (k / total) * (1 - k / total) * (total - n) / np.maximum(total - 1, 1)
    summed = variance < _SUMMED_BELOW
    log_p = np.empty(x.shape)
    for here, method in ((summed, _sum), (~summed, _saddlepoint)):
        log_p[here] = method(x[here], n[here], k[here], total[here])
    return log_p


def _sum(x: Floats, n: Floats, k: Floats, total: Floats) -> Floats:
    """The probability of x, times 1 + the ratios of those below it."""
    term, series, at = np.ones(x.shape), np.ones(x.shape), x.copy()
    active = np.arange(len(x))
    while len(active):
        i, n_, k_ = at[active], n[active], k[active]
        term[active] *= i * (total[active] - k_ - n_ + i) / ((k_ - i + 1) * (n_ - i + 1))
        series[active] += term[active]
        at[active] -= 1
        active = active[term[active] > _NEGLIGIBLE * series[active]]
    possible = (x >= 0) & (x >= n + k - total)
    safe = np.where(possible, x, np.maximum(0, n + k - total))
    log_x = _log_choose(k, safe) + _log_choose(total - k, n - safe) - _log_choose(total, n)
    return np.where(possible, log_x + np.log(series), -np.inf)


def _log_choose(n: Floats, k: Floats) -> Floats:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def _saddlepoint(x: Floats, n: Floats, k: Floats, total: Floats) -> Floats:
    """log Φ(w + log(u/w)/w): w the signed root of the deviance, u the skewness, of x + ½."""
    p, rest = k / total, total - n
    gap = x + 0.5 - n * p
    expected = np.stack([n * p, n * (1 - p), rest * p, rest * (1 - p)])
    share = np.stack([gap, -gap, -gap, gap]) / expected
    a, b, c, d = expected * (1 + share)
    deviance = 2 * (expected * (1 + share) * np.log1p(share)).sum(axis=0)
    w = np.sign(gap) * np.sqrt(np.maximum(deviance, 0.0))
    log_odds = np.log(a * d) - np.log(b * c)
    u = 2 * np.sinh(log_odds / 2) * np.sqrt(a * b / n * (c * d / rest) / (total * p * (1 - p)))
    near = np.abs(w) < 1e-4
    safe_w, safe_u = np.where(near, 1.0, w), np.where(near, 1.0, u)
    return np.asarray(log_ndtr(np.where(near, w, w + np.log(safe_u / safe_w) / safe_w)))
