"""Impact ratios: every group's selection rate over the highest, with what chance alone would do.

The group with the highest rate is picked after looking, so intervals (Koopman) and Fisher's p-values are
corrected (Bonferroni) for all pairs of judged groups; the plain p stands beside. "One person" asks the
question of the agencies (44 FR 11996, no. 21): would the group have the higher rate, had one of its people
been selected in place of one of the others?
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from raiaudit.audit.fairness.profiles.false_alarms import alarms_of_two
from raiaudit.audit.statistics.exact import fisher_exact
from raiaudit.audit.statistics.intervals import ratio

if TYPE_CHECKING:
    from raiaudit.audit.fairness.profiles.selection import Selected

__all__ = ["Impact", "Impacts", "impacts"]


class Impact(NamedTuple):
    """A group against the one with the highest rate; what compares is None for that one itself.

    `too_small` says why the group is not judged. `false_alarm` is the chance of a bare alarm between these
    two groups at their pooled rate.
    """

    group: str
    selected: int
    n: int
    share: float
    rate: float
    too_small: str | None
    ratio: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    one_person: bool | None = None
    false_alarm: float | None = None


class Impacts(NamedTuple):
    """All groups; or, without a `reference`, the reason why there are no ratios."""

    rows: tuple[Impact, ...]
    reference: str | None
    undefined: str | None


def impacts(people: Selected, *, min_share: float, min_group: int, confidence: float) -> Impacts:
    """Ratios of all groups. Those too small are neither the reference nor corrected for, yet shown."""
    total = people.total
    plain = [
        Impact(group, k, n, n / total, k / n, _too_small(n, total, min_share, min_group), None)
        for group, k, n in zip(*people[:3], strict=True)
    ]
    able = [row for row in plain if row.too_small is None]
    undefined = _undefined(able)
    if undefined is not None:
        return Impacts(tuple(plain), None, undefined)
    top = max(able, key=lambda row: row.rate)
    pairs = math.comb(len(able), 2)
    each = 1 - (1 - confidence) / pairs
    rows = []
    for row in plain:
        if row is top:
            rows.append(row._replace(ratio=1.0))
            continue
        low, high = ratio(row.selected, row.n, top.selected, top.n, each)
        p_value = fisher_exact(row.selected, row.n, top.selected, top.n)
        pooled = (row.selected + top.selected) / (row.n + top.n)
        rows.append(
            row._replace(
                ratio=row.rate / top.rate,
                low=low,
                high=high,
                p_value=p_value,
                p_adjusted=min(1.0, p_value * pairs),
                one_person=None if row.rate >= top.rate else _turned(row, top),
                false_alarm=alarms_of_two(row.n, top.n, pooled),
            )
        )
    return Impacts(tuple(rows), top.group, None)


def _turned(row: Impact, top: Impact) -> bool:
    """One more selected here in place of one there."""
    return (row.selected + 1) / row.n > (top.selected - 1) / top.n


def _too_small(n: int, total: int, min_share: float, min_group: int) -> str | None:
    if n < min_group:
        return f"only {n} of {min_group} needed people"
    if n < min_share * total:
        return f"{100 * n / total:.2g} % of the people, under {100 * min_share:g} %"
    return None


def _undefined(able: Sequence[Impact]) -> str | None:
    if len(able) < 2:
        return "fewer than two groups are large enough to compare"
    if not any(row.selected for row in able):
        return "nobody in these groups was given the favourable outcome"
    return None
