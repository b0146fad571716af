"""Groups compared: signed gaps to a reference, the widest gap, the smallest ratio; all with honest intervals.

Picking the extreme pair after looking makes an ordinary interval too narrow. So every interval here is
simultaneous (Bonferroni over what it is chosen from) at the stated confidence:
a gap to the reference over the G − 1 other groups; the widest gap over all G(G − 1)/2 pairs of every metric
it looks at, with low = max over pairs of the lower bound of |gap| and high = max of the upper bounds; the
smallest ratio over all pairs, its bounds the minima of theirs. Differences by Newcombe's method 10 (square
and add the distances to the groups' own limits), ratios by Koopman.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from raiaudit.audit.statistics.intervals import Interval, difference, ratio

if TYPE_CHECKING:
    from raiaudit.audit.fairness.by_group.values import GroupValue

__all__ = ["Extreme", "Gap", "comparable", "gaps_to_reference", "smallest_ratio", "widest_gap"]


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
    pairs = [list(combinations(comparable(values), 2)) for values in metrics]
    if not all(pairs):
        return None
    each = _each(confidence, sum(map(len, pairs)))
    extremes = []
    for a, b in (pair for family in pairs for pair in family):
        gap, (low, high) = _difference(a, b, each)
        highest, lowest = (a, b) if gap >= 0 else (b, a)
        bounds = max(0.0, low, -high), max(-low, high)
        extremes.append(Extreme(abs(gap), *bounds, highest.group, lowest.group))
    widest = max(extremes, key=lambda extreme: extreme.value)
    return widest._replace(low=max(e.low for e in extremes), high=max(e.high for e in extremes))


def smallest_ratio(counts: Sequence[tuple[str, int, int]], confidence: float) -> Extreme | None:
    """Min / max over groups of successes / n, from (group, successes, n > 0).

    None for fewer than two groups, or where no group has a success.
    """
    if len(counts) < 2 or not any(successes for _, successes, _ in counts):
        return None
    pairs = list(combinations(counts, 2))
    each = _each(confidence, len(pairs))
    lows, highs = [], []
    for (_, x, m), (_, y, n) in pairs:
        low, high = ratio(x, m, y, n, each)
        lows.append(min(low, 1 / high if high else 1.0))
        highs.append(min(1.0, high, 1 / low if low else 1.0))
    lowest = min(counts, key=lambda count: count[1] / count[2])
    highest = max(counts, key=lambda count: count[1] / count[2])
    value = (lowest[1] / lowest[2]) / (highest[1] / highest[2])
    return Extreme(value, min(lows), min(highs), highest[0], lowest[0])


def _each(confidence: float, comparisons: int) -> float:
    """Bonferroni: the confidence of each so that all hold together at `confidence`."""
    return 1 - (1 - confidence) / comparisons
