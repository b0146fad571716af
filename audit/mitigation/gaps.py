"""How a gap between groups changed: paired differences of max−min, and of the impact ratio.

Both models answered about the same people. Which pair of groups is the widest apart may differ between the
models: `audit/statistics/extremes.py` allows for that. The impact ratio's change is by the delta method.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

from raiaudit.audit.statistics.extremes import Paired, Term, change_of_largest
from raiaudit.audit.studies.cells import CONFIDENCE, Change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.mitigation.outcomes import Rate

__all__ = ["Family", "gap_change", "ratio_change"]

Family = tuple[dict[str, "Rate"], dict[str, "Rate"]]
"""One rate by group, in the variant and in the standard model."""


def gap_change(families: Sequence[Family]) -> Change | None:
    """The widest gap of any of these rates, variant minus standard; None where no two groups compare."""
    pairs = [(f, g, h) for f, family in enumerate(families) for g, h in permutations(family[0], 2)]
    if not pairs:
        return None
    people = _people(families)

    def terms(side: int) -> list[Term]:
        found = []
        for f, g, h in pairs:
            value = people[f, g].shares[side] - people[f, h].shares[side]
            found.append(Term(value, {(f, g): 1.0, (f, h): -1.0}))
        return found

    low, high = change_of_largest(
        terms(0), terms(1), people, comparisons=len(pairs) ** 2 / 2, confidence=CONFIDENCE
    )
    gaps = [
        max(families[f][side][g].value - families[f][side][h].value for f, g, h in pairs) for side in (0, 1)
    ]
    return _change(gaps[0] - gaps[1], low, high, families[0])


def ratio_change(family: Family) -> Change | None:
    """The smallest ratio of two groups' rates, variant minus standard; None where a rate is 0."""
    if len(family[0]) < 2 or not all(rate.successes for side in family for rate in side.values()):
        return None
    pairs, people = list(permutations(family[0], 2)), _people([family])

    def terms(side: int) -> list[Term]:
        """Negative, so that the smallest ratio is the largest."""
        found = []
        for g, h in pairs:
            own, other = (people[0, group].shares[side] for group in (g, h))
            found.append(Term(-own / other, {(0, g): -1 / other, (0, h): own / other**2}))
        return found

    low, high = change_of_largest(
        terms(0), terms(1), people, comparisons=len(pairs) ** 2, confidence=CONFIDENCE
    )
    smallest = [min(side[g].value / side[h].value for g, h in pairs) for side in family]
    return _change(smallest[0] - smallest[1], -high, -low, family)


def _people(families: Sequence[Family]) -> dict[tuple[int, str], Paired]:
    return {
        (f, group): Paired.of(rate.event_N, base[group].event_N)
        for f, (ours, base) in enumerate(families)
        for group, rate in ours.items()
    }


def _change(difference: float, low: float, high: float, family: Family) -> Change:
    """The interval is about shares with added outcomes, and must hold the one observed as well."""
    n = sum(rate.n for rate in family[0].values())
    return Change(difference=difference, low=min(low, difference), high=max(high, difference), n=n)
