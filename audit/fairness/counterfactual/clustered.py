"""Shares, signed effects and a test for pairs of answers that come in clusters.

Sentences of one template, or variants of one example, tend to change their answer together, so pairs are not
independent and McNemar's test is too eager (Durkalski et al., Stat. Med. 22 (2003), doi:10.1002/sim.1438).
Here the cluster is the unit of chance:

- The test is `audit.statistics.sign_flips` of clusters: were both groups answered alike, the net number of
  changes of a cluster would be as likely negative as positive.
- `share_interval`: Wilson's interval at the effective number of pairs, p(1−p)/v for the variance v between
  clusters (Korn and Graubard, Survey Methodology 24 (1998) 193). v is known only as well as many clusters
  contribute to it: the quantile of t takes that into account. There are never fewer effective pairs than
  clusters, nor more than pairs; where no answer changed there are as many as clusters.
- `effect_interval`: the share that changed one way less the share that changed the other way. By t and the
  variance between clusters, but never wider than were every cluster one pair; clusters of one pair: from the
  shares' intervals and their correlation (Zou and Donner, doi:10.1002/sim.3095).
- `mean_interval`: a mean over pairs, by the variance between clusters and t.

Shapes: C clusters, pairs_C ≥ 1 the number of pairs of each, other arrays sums over a cluster's pairs. All
intervals are two-sided.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri, stdtrit

from raiaudit.audit.statistics.intervals import Interval
from raiaudit.audit.statistics.score_intervals import wilson_limits

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["effect_interval", "mean_interval", "share_interval"]

_NONE = 1e-9
"""Degrees of freedom below which rounding is all there is."""


def share_interval(changed: ArrayLike, pairs: ArrayLike, confidence: float = 0.95) -> Interval:
    """Of the share of pairs that changed, changed_C of pairs_C in each cluster."""
    changed_C, pairs_C = _floats(changed), _floats(pairs)
    effective = _effective_pairs(changed_C, pairs_C, confidence)
    return _wilson(float(changed_C.sum() / pairs_C.sum()), effective, confidence)


def effect_interval(
    gained: ArrayLike, lost: ArrayLike, pairs: ArrayLike, confidence: float = 0.95
) -> Interval:
    """Of the share of pairs that changed one way less the share that changed the other way."""
    gained_C, lost_C, pairs_C = _floats(gained), _floats(lost), _floats(pairs)
    total = float(pairs_C.sum())
    up, down = float(gained_C.sum()) / total, float(lost_C.sum()) / total
    widest = _difference(up, down, _fewest(pairs_C), confidence)
    if pairs_C.max() == 1:
        return widest
    net_C, mean = gained_C - lost_C, up - down
    freedom = _contributing(net_C - mean * pairs_C) - 1
    if freedom <= _NONE:
        return widest
    half = float(stdtrit(freedom, 0.5 + confidence / 2)) * math.sqrt(_variance(net_C, pairs_C, mean))
    return Interval(max(widest.low, mean - half), min(widest.high, mean + half))


def mean_interval(sums: ArrayLike, pairs: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """Of Σ sums / Σ pairs; None for fewer than two clusters, which show no variance."""
    sums_C, pairs_C = _floats(sums), _floats(pairs)
    if len(pairs_C) < 2:
        return None
    mean = float(sums_C.sum() / pairs_C.sum())
    half = float(stdtrit(len(pairs_C) - 1, 0.5 + confidence / 2)) * math.sqrt(
        _variance(sums_C, pairs_C, mean)
    )
    return Interval(mean - half, mean + half)


def _variance(sums_C: NDArray[np.float64], pairs_C: NDArray[np.float64], mean: float) -> float:
    """Of a ratio Σ sums / Σ pairs, linearised, from what clusters deviate by."""
    clusters = len(pairs_C)
    deviations_C = sums_C - mean * pairs_C
    return float((deviations_C**2).sum()) * clusters / (clusters - 1) / float(pairs_C.sum()) ** 2


def _effective_pairs(
    changed_C: NDArray[np.float64], pairs_C: NDArray[np.float64], confidence: float
) -> float:
    """How many independent pairs would say as much of the share that changed."""
    total = float(pairs_C.sum())
    share, fewest = float(changed_C.sum()) / total, _fewest(pairs_C)
    freedom = _contributing(changed_C - share * pairs_C) - 1
    if fewest == total or not 0 < share < 1 or freedom <= _NONE:
        return fewest
    z, t = float(ndtri(0.5 + confidence / 2)), float(stdtrit(freedom, 0.5 + confidence / 2))
    effective = share * (1 - share) / _variance(changed_C, pairs_C, share) * (z / t) ** 2
    return min(total, max(fewest, effective))


def _fewest(pairs_C: NDArray[np.float64]) -> float:
    """Clusters, were they of one size: as many pairs as all say if those of a cluster are the same."""
    return float(pairs_C.sum()) ** 2 / float((pairs_C**2).sum())


def _contributing(deviations_C: NDArray[np.float64]) -> float:
    """How many clusters a sum of squares comes from: (Σ d²)² / Σ d⁴, 1 for one and C for C equal ones."""
    squares_C = deviations_C**2
    fourth = float((squares_C**2).sum())
    return float(squares_C.sum()) ** 2 / fourth if fourth > 0 else 0.0


def _difference(up: float, down: float, n: float, confidence: float) -> Interval:
    """Of two shares of the same n pairs, of which no pair is in both."""
    of_up, of_down = _wilson(up, n, confidence), _wilson(down, n, confidence)
    rest = (1 - up) * (1 - down)
    correlation = -math.sqrt(up * down / rest) if rest > 0 else 0.0

    def reach(a: float, b: float) -> float:
        return math.sqrt(a * a + b * b - 2 * correlation * a * b)

    return Interval(
        max(-1.0, up - down - reach(up - of_up.low, of_down.high - down)),
        min(1.0, up - down + reach(of_up.high - up, down - of_down.low)),
    )


def _wilson(share: float, n: float, confidence: float) -> Interval:
    low, high = wilson_limits(share * n, n, confidence)
    return Interval(float(low), float(high))


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
