"""How a gap between groups changed: paired differences of max−min, and of the impact ratio.

Both models answered about the same people, so a group's rate changes by Bonett and Price's paired interval,
and the difference of two groups' changes, whose people differ, by squares of distances (Zou and Donner). The
pair of groups that is widest apart may differ between the models: `change_of_largest` allows for that. The
impact ratio's change is by the delta method. All intervals behind one number hold together (Bonferroni).
"""

from __future__ import annotations

import math
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from raiaudit.audit.statistics.intervals import Interval, difference, paired_difference, ratio, wilson
from raiaudit.audit.studies.cells import CONFIDENCE, Change
from raiaudit.audit.studies.metrics import change_of_largest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.mitigation.outcomes import Rate

__all__ = ["Family", "gap_change", "ratio_change"]

Family = tuple[dict[str, "Rate"], dict[str, "Rate"]]
"""One rate by group, in the variant and in the standard model."""


def gap_change(families: Sequence[Family]) -> Change | None:
    """The widest gap of any of these rates, variant minus standard; None where no two groups compare."""
    pairs = [(family, g, h) for family in families for g, h in permutations(family[0], 2)]
    if not pairs:
        return None
    # Half of the error for the changes, a quarter for each model's gaps; (h, g) mirrors (g, h).
    error, count = 1 - CONFIDENCE, len(pairs) / 2
    changes = [_gap_of_changes(*pair, 1 - error / (2 * count)) for pair in pairs]
    of_a, of_b = (
        [_gap(family[side], g, h, 1 - error / (4 * count)) for family, g, h in pairs] for side in (0, 1)
    )
    low, high = change_of_largest(of_a, of_b, changes)
    values = [max(family[side][g].value - family[side][h].value for family, g, h in pairs) for side in (0, 1)]
    return Change(difference=values[0] - values[1], low=low, high=high, n=_size(families[0]))


def ratio_change(family: Family) -> Change | None:
    """The smallest ratio of two groups' rates, variant minus standard; None where a rate is 0."""
    ours, base = family
    if len(ours) < 2 or not all(rate.successes for side in family for rate in side.values()):
        return None
    pairs = list(permutations(ours, 2))
    each = 1 - (1 - CONFIDENCE) / (2 * len(pairs))
    quarter = 1 - (1 - CONFIDENCE) / (4 * len(pairs))

    def ratios(side: dict[str, Rate]) -> list[Interval]:
        """Negative, so that the smallest is the largest."""
        limits = [
            ratio(side[g].successes, side[g].n, side[h].successes, side[h].n, quarter) for g, h in pairs
        ]
        return [Interval(-high, -low) for low, high in limits]

    changes = [_ratio_of_changes(ours, base, g, h, each) for g, h in pairs]
    negative = [Interval(-high, -low) for low, high in changes]
    low, high = change_of_largest(ratios(ours), ratios(base), negative)
    values = [min(side[g].value / side[h].value for g, h in pairs) for side in family]
    return Change(difference=values[0] - values[1], low=-high, high=-low, n=_size(family))


def _gap(side: dict[str, Rate], g: str, h: str, confidence: float) -> Interval:
    limits = [wilson(side[group].successes, side[group].n, confidence) for group in (g, h)]
    return difference(side[g].value, limits[0], side[h].value, limits[1])


def _gap_of_changes(family: Family, g: str, h: str, confidence: float) -> Interval:
    ours, base = family
    limits = [paired_difference(ours[k].event_N, base[k].event_N, confidence) for k in (g, h)]
    moved = [ours[k].value - base[k].value for k in (g, h)]
    return difference(moved[0], limits[0], moved[1], limits[1])


def _ratio_of_changes(
    ours: dict[str, Rate], base: dict[str, Rate], g: str, h: str, confidence: float
) -> Interval:
    """a_g/a_h − b_g/b_h: its derivative at each example, whose variances add over the two groups."""
    value = ours[g].value / ours[h].value - base[g].value / base[h].value
    upper_N = ours[g].event_N / ours[h].value - base[g].event_N / base[h].value
    lower_N = (
        ours[h].event_N * ours[g].value / ours[h].value ** 2
        - base[h].event_N * base[g].value / base[h].value ** 2
    )
    spread = math.sqrt(sum(float(np.var(part)) / len(part) for part in (upper_N, lower_N)))
    half = float(ndtri(0.5 + confidence / 2)) * spread
    return Interval(value - half, value + half)


def _size(family: Family) -> int:
    return sum(rate.n for rate in family[0].values())
