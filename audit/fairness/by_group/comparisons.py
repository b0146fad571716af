"""Groups compared: signed gaps to a reference, the widest gap, the smallest ratio; all with honest intervals.

Picking the extreme pair after looking makes an ordinary interval too narrow. So every interval here is
simultaneous (Bonferroni over what it is chosen from) at the stated confidence:
a gap to the reference over the G − 1 other groups; the widest gap over all G(G − 1)/2 pairs of every metric
it looks at, with low = max over pairs of the lower bound of |gap| and high = max of the upper bounds; the
smallest ratio over all pairs, its bounds the minima of theirs. Differences by Newcombe's method 10 (square
and add the distances to the groups' own limits), ratios by Koopman. (The quantile of the maximum itself, by
simulation, would make the intervals of 3 to 30 groups at most 5 % narrower, and have them depend on a seed.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from raiaudit.audit.fairness.by_group.pairs import Limited, gap_bounds, ratio_bounds
from raiaudit.audit.statistics.intervals import Interval, difference

if TYPE_CHECKING:
    from raiaudit.audit.fairness.by_group.values import GroupValue

__all__ = [
    "Extreme",
    "Gap",
    "comparable",
    "gaps_to_reference",
    "smallest_of_ratios",
    "widest_gap",
]


class Gap(NamedTuple):
    """`group` minus `reference`; `n` examples behind both."""

    group: str
    reference: str
    value: float
    low: float
    high: float
    n: int


class Extreme(NamedTuple):
    """The extreme of all comparisons; `highest` and `lowest` are the groups that attain it."""

    value: float
    low: float
    high: float
    highest: str
    lowest: str


def comparable(values: Sequence[GroupValue]) -> list[GroupValue]:
    """Those with a value and enough support."""
    return [value for value in values if value.left_out is None]


def _difference(a: GroupValue, b: GroupValue, confidence: float) -> tuple[float, Interval]:
    assert a.value is not None
    assert b.value is not None
    interval = difference(a.value, a.interval(confidence), b.value, b.interval(confidence))
    return a.value - b.value, interval


def gaps_to_reference(values: Sequence[GroupValue], reference: str, confidence: float) -> list[Gap]:
    """Every comparable group against `reference`; nothing where the reference itself cannot be compared."""
    able = {value.group: value for value in comparable(values)}
    base = able.pop(reference, None)
    if base is None:
        return []
    gaps = []
    for other in able.values():
        gap, interval = _difference(other, base, _each(confidence, len(able)))
        gaps.append(Gap(other.group, reference, gap, *interval, other.n + base.n))
    return gaps


def widest_gap(metrics: Sequence[Sequence[GroupValue]], confidence: float) -> Extreme | None:
    """Max − min over groups, the largest of `metrics`; None where one has no two comparable groups."""
    families = [comparable(values) for values in metrics]
    if any(len(able) < 2 for able in families):
        return None
    each = _each(confidence, sum(map(_pairs, families)))
    extremes = []
    for able in families:
        limits = [value.interval(each) for value in able]
        value_G = np.array([value.value for value in able], dtype=np.float64)
        low, high = gap_bounds(Limited(value_G, *np.array(limits).T))
        highest, lowest = int(value_G.argmax()), int(value_G.argmin())
        gap = float(value_G[highest] - value_G[lowest])
        extremes.append(Extreme(gap, max(0.0, low), high, able[highest].group, able[lowest].group))
    widest = max(extremes, key=lambda extreme: extreme.value)
    return widest._replace(low=max(e.low for e in extremes), high=max(e.high for e in extremes))


def smallest_of_ratios(
    families: Sequence[Sequence[tuple[str, float, float]]], confidence: float
) -> Extreme | None:
    """The smallest of min / max over groups in any of several metrics, from (group, successes, n > 0).

    None where a metric has fewer than two groups, or no group with a success.
    """
    if any(len(counts) < 2 or not any(x for _, x, _ in counts) for counts in families):
        return None
    each = _each(confidence, sum(map(_pairs, families)))
    extremes = []
    for counts in families:
        names, x, n = zip(*counts, strict=True)
        x_G, n_G = np.array(x, dtype=np.float64), np.array(n, dtype=np.float64)
        low, high = ratio_bounds(x_G, n_G, each)
        rate_G = x_G / n_G
        lowest, highest = int(rate_G.argmin()), int(rate_G.argmax())
        ratio = float(rate_G[lowest] / rate_G[highest])
        extremes.append(Extreme(ratio, low, min(1.0, high), names[highest], names[lowest]))
    smallest = min(extremes, key=lambda extreme: extreme.value)
    return smallest._replace(low=min(e.low for e in extremes), high=min(e.high for e in extremes))


def _pairs(groups: Sequence[object]) -> int:
    return len(groups) * (len(groups) - 1) // 2


def _each(confidence: float, comparisons: int) -> float:
    """Bonferroni: the confidence of each so that all hold together at `confidence`."""
    return 1 - (1 - confidence) / comparisons
