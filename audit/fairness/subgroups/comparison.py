"""Every subgroup against everyone else, in all metrics at once: gaps, their intervals and tests.

Group and rest share nobody, so Fisher's exact test holds at any count (`hypergeometric`), and Newcombe's
method 10 bounds the gap. The p-value is one-sided, towards what is worse for the group; for a metric of which
neither way is better it is two-sided (twice the smaller tail).
Shapes: S subgroups, M metrics; counts (S, M) of the groups and (M,) of everyone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.special import ndtri

from raiaudit.audit.fairness.subgroups.hypergeometric import log_p_few, log_p_many
from raiaudit.audit.fairness.subgroups.outcomes import BETTER, rates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.fairness.by_group.metrics import Counts

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

__all__ = ["Comparison", "adjusted", "bounds"]


class Bounds(NamedTuple):
    """Arrays of one shape, `low` ≤ `high`; NaN where there is nothing to bound."""

    low: Floats
    high: Floats


class Comparison(NamedTuple):
    """Successes and trials of the subgroups (S, M), and of everyone else (S, M)."""

    group: Counts
    rest: Counts
    worse_M: Integers
    """−1 where less is worse, +1 where more is, 0 where either may be."""

    @classmethod
    def of(cls, counts_SO: Integers, everyone_O: Integers, metrics: Sequence[str]) -> Comparison:
        """From the outcomes of every subgroup and of all people."""
        side = {"higher": -1, "lower": 1, "neither": 0}
        worse = np.array([side[BETTER[metric]] for metric in metrics], dtype=np.int64)
        return cls(rates(counts_SO, metrics), rates(everyone_O - counts_SO, metrics), worse)

    @property
    def values(self) -> Floats:
        """NaN where nobody meets the metric's condition."""
        return _ratio(self.group)

    @property
    def rest_values(self) -> Floats:
        """The same of everyone else."""
        return _ratio(self.rest)

    @property
    def gaps(self) -> Floats:
        """Subgroup − rest."""
        return self.values - self.rest_values

    @property
    def sides(self) -> Integers:
        """The sign of a gap that would be worse; where neither way is, the sign of the gap itself."""
        seen = np.where(np.nan_to_num(self.gaps) < 0, -1, 1)
        return np.where(self.worse_M == 0, seen, self.worse_M)

    def log_p(self, side_SM: Integers) -> Floats:
        """One-sided: of a gap at least as far to that side by chance."""
        (x, n), (others, m) = self.group, self.rest
        few, k, total = side_SM < 0, x + others, n + m
        log_p = np.empty(x.shape)
        log_p[few] = log_p_few(x[few], n[few], k[few], total[few])
        log_p[~few] = log_p_many(x[~few], n[~few], k[~few], total[~few])
        return log_p

    def search_log_p(self) -> Floats:
        """Towards what is worse; doubled where the data choose the side."""
        doubled = np.where(self.worse_M == 0, np.log(2), 0.0)
        return np.minimum(self.log_p(self.sides) + doubled, 0.0)

    def bounds(self, confidence: float) -> Bounds:
        """Newcombe's interval of every gap."""
        a, b = bounds(self.group, confidence), bounds(self.rest, confidence)
        value, rest = self.values, self.rest_values
        return Bounds(
            value - rest - np.hypot(value - a.low, b.high - rest),
            value - rest + np.hypot(a.high - value, rest - b.low),
        )


def bounds(counts: Counts, confidence: float) -> Bounds:
    """Wilson's interval of every rate."""
    successes, n = counts
    z2 = float(ndtri(0.5 + confidence / 2)) ** 2
    share = _ratio(counts)
    safe = np.maximum(n, 1)
    centre, half = share + z2 / (2 * safe), np.sqrt(z2 * (share * (1 - share) + z2 / (4 * safe)) / safe)
    scale = 1 + z2 / safe
    low = np.where(successes == 0, 0.0, np.maximum(0.0, (centre - half) / scale))
    high = np.where(successes == n, 1.0, np.minimum(1.0, (centre + half) / scale))
    return Bounds(np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan))


def adjusted(log_p: Floats, method: Literal["bh", "by"]) -> Floats:
    """log q of a vector of log p: the false discovery rate of rejecting all that are as small.

    `bh`: Benjamini and Hochberg, for independent or positively dependent tests. `by`: Benjamini and
    Yekutieli, doi:10.1214/aos/1013699998, for any dependence, dearer by the factor 1 + 1/2 + … + 1/m.
    """
    m = len(log_p)
    if not m:
        return log_p
    ranks = np.arange(1, m + 1)
    order = np.argsort(log_p, kind="stable")
    price = np.log(m) if method == "bh" else np.log(m) + np.log((1 / ranks).sum())
    log_q = np.empty(m)
    log_q[order] = np.minimum.accumulate((log_p[order] + price - np.log(ranks))[::-1])[::-1]
    return np.minimum(log_q, 0.0)


def _ratio(counts: Counts) -> Floats:
    known = counts.trials > 0
    return np.where(known, counts.successes / np.maximum(counts.trials, 1), np.nan)
