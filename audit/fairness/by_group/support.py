"""How much independent evidence is behind a rate of each group: effective numbers of examples.

The variance of a rate p̂ = Σw·s / Σw·t, linearised (Kish, Survey Sampling, 1965; Kish and Frankel, J. R.
Stat. Soc. B 36 (1974) 1), is with independent rows V = Σ w²(s − p̂)² / (Σw)², and with clusters V = C/(C − 1)
· Σ_c (s_c − p̂·t_c)² / (Σ_c t_c)². The effective number p̂(1 − p̂)/V is what Wilson's interval and the tests
then use (Korn and Graubard, Surv. Methodol. 24 (1998) 193; Rao and Scott, doi:10.1214/aos/1176346391), never
more than Kish's (Σw)²/Σw² of the rows. Where p̂ is 0 or 1 no variance was seen: then it is that of the rows,
or of the clusters as if the rows of each agreed. With few clusters the interval takes Student's quantile for
the normal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from raiaudit.audit.fairness.by_group.metrics import Counts
from raiaudit.audit.fairness.by_group.values import GroupValue, proportion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.fairness.counting.clusters import Clusters, Sample

__all__ = ["Support", "group_values", "supported"]

RateOf = Callable[["NDArray[Any]"], Counts]
"""Counts (…, G, label, predicted), or (…, G, predicted) without labels, to successes and trials (…, G)."""


class Support(NamedTuple):
    """Of each group: the number of examples, the effective successes and trials (of which the rate is the
    ratio), and the degrees of freedom of its variance (∞ for independent rows).
    """

    n_G: NDArray[np.int64]
    successes_G: NDArray[Any]
    trials_G: NDArray[Any]
    freedom_G: NDArray[np.float64]


def supported(sample: Sample, rate: RateOf) -> Support:
    """Whatever the rows: independent, weighted, in clusters, or both."""
    cells, clusters = sample
    counted, never = rate(cells.counts), np.full(rate(cells.counts).trials.shape, np.inf)
    if cells.squares is None and clusters is None:
        return Support(counted.trials, *counted, never)
    successes_G, trials_G = (np.asarray(part, dtype=np.float64) for part in rate(cells.totals))
    rate_G = _quotient(successes_G, trials_G)
    kish_G = trials_G
    if cells.squares is not None:
        hits_G, all_G = rate(cells.squares)
        kish_G = _quotient(trials_G**2, all_G)
    if clusters is None:
        assert cells.squares is not None
        residual_G = (1 - rate_G) ** 2 * hits_G + rate_G**2 * (all_G - hits_G)
        unseen_G, freedom_G = kish_G, never
    else:
        residual_G, unseen_G, freedom_G = _of_clusters(clusters, rate, rate_G)
    spread_G = rate_G * (1 - rate_G) * trials_G**2
    varied = (residual_G > 1e-12 * trials_G**2) & (spread_G > 0)
    linear_G = np.divide(spread_G, residual_G, out=unseen_G.copy(), where=varied)
    effective_G = np.minimum(kish_G, linear_G)
    return Support(counted.trials, rate_G * effective_G, effective_G, freedom_G)


def _of_clusters(
    clusters: Clusters, rate: RateOf, rate_G: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Squared residuals; what stands in where nothing varied, clusters as equally large ones; freedom."""
    successes_R, trials_R = rate(clusters.counts_R)

    def summed(values_R: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(clusters.group_R, values_R, minlength=len(rate_G)))

    number_G = summed(trials_R > 0)
    residual_R = successes_R - rate_G[clusters.group_R] * trials_R
    correction_G = np.where(number_G > 1, _quotient(number_G, number_G - 1), 1.0)
    kish_G = _quotient(summed(trials_R) ** 2, summed(trials_R**2))
    return correction_G * summed(residual_R**2), kish_G, np.maximum(number_G - 1, 0)


def _quotient(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    quotient: NDArray[np.float64] = np.divide(a, b, out=np.zeros(np.shape(a)), where=b > 0)
    return quotient


def group_values(sample: Sample, rate: RateOf, *, minimum: int, condition: str) -> list[GroupValue]:
    """A proportion a group; those with fewer than `minimum` (effective) examples are not compared."""
    levels, support = sample.cells.axes[0].levels, supported(sample, rate)
    return [
        proportion(group, k, size, minimum=minimum, condition=condition, examples=n, freedom=freedom)
        for group, n, k, size, freedom in zip(levels, *(column.tolist() for column in support), strict=True)
    ]
