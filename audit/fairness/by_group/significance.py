"""Which test of "the groups do not differ" is made, and how small a gap the data could have shown.

One stratum of two groups: Fisher's exact test. Few examples: the exact test of the widest gap. Otherwise its
Monte Carlo version, with fewer draws where there are very many groups (valid at any number; a note says so).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from raiaudit.audit.fairness.by_group.comparisons import comparable
from raiaudit.audit.fairness.by_group.permutation import permutation_p_value, widest_of_gaps
from raiaudit.audit.statistics.exact import MOST_COUNTED, fisher_exact, widest_gap_exact
from raiaudit.audit.statistics.power import examples_needed, minimum_detectable_gap

if TYPE_CHECKING:
    import numpy as np

    from raiaudit.audit.fairness.by_group.permutation import Statistic, Stratum
    from raiaudit.audit.fairness.by_group.values import GroupValue

__all__ = ["Detectable", "Tested", "detectable_gap", "group_test"]

_POWER = 0.8
_MOST_DRAWN = 5_000_000
_FEWEST_DRAWS = 199


class Tested(NamedTuple):
    """A p-value, the citation of its test, and what there is to note."""

    p: float
    method: str
    note: str | None


def group_test(
    strata: Sequence[Stratum], statistic: Statistic, *, rng: np.random.Generator, draws: int
) -> Tested:
    """Strata of at least two groups each."""
    if statistic is widest_of_gaps:
        if len(strata) == 1 and len(strata[0][0]) == 2:
            (x, y), (m, n) = strata[0]
            return Tested(fisher_exact(x, m, y, n), "fisher1922", None)
        if sum(sum(trials_G) for _, trials_G in strata) <= MOST_COUNTED:
            return Tested(widest_gap_exact(strata), "dwass1957", None)
    groups = max(len(trials_G) for _, trials_G in strata)
    made = min(draws, max(_FEWEST_DRAWS, _MOST_DRAWN // groups))
    note = None if made == draws else f"{made} draws, for there are {groups} groups"
    return Tested(permutation_p_value(strata, rng=rng, draws=made, statistic=statistic), "dwass1957", note)


class Detectable(NamedTuple):
    """The gap (None: not even the widest possible), the examples of the smallest group, and what to say."""

    gap: float | None
    n: int
    reason: str


def detectable_gap(
    values: Sequence[GroupValue], reference: str, *, confidence: float, tolerance: float
) -> Detectable:
    """Between the smallest group compared and the reference, at 80 % power and the level of one of all pairs.

    `values` are proportions, at least two of them comparable. A reference that is not compared itself is
    replaced by the largest group that is.
    """
    able = comparable(values)
    sizes = {value.group: value.counts[1] for value in able if value.counts is not None}
    base = next((value for value in able if value.group == reference), None)
    base = base or max(able, key=lambda value: sizes[value.group])
    smallest = min((value for value in able if value is not base), key=lambda value: sizes[value.group])
    assert base.value is not None
    alpha = (1 - confidence) * 2 / (len(able) * (len(able) - 1))
    gap = minimum_detectable_gap(
        base.value, sizes[smallest.group], sizes[base.group], alpha=alpha, power=_POWER
    )
    needed = examples_needed(base.value, tolerance, alpha=alpha, power=_POWER)
    reason = (
        f"smallest group compared: {smallest.group} (n = {smallest.n}); a gap of {tolerance:g} would show "
        f"with {needed} examples in each of two groups"
    )
    if gap is None:
        reason = f"not even the widest gap possible would show: {reason}"
    return Detectable(gap, smallest.n, reason)
