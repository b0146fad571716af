"""What to read first of a comparison, and how to read it: sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from raiaudit.audit.comparison.changes import LEAST_OF_GROUP
from raiaudit.reports.words.comparison_words import OUTCOMES, change, group_name, names, quantity

if TYPE_CHECKING:
    from raiaudit.audit.comparison.results import Comparison, Delta

__all__ = ["findings", "reading_notes"]


def findings(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """What to read first of each run: (its name, a sentence)."""
    reference = names(comparison)[0]
    for place, name in enumerate(names(comparison)[1:], start=1):
        deltas = [each for each in comparison.paired if each.run == place]
        if not deltas:
            yield name, f"shares no quantity with {reference} that could be paired."
            continue
        yield name, _counted(deltas, reference)
        for outcome in ("worse", "better"):
            told = [f"{quantity(each)} {change(each)}" for each in deltas if each.outcome == outcome]
            if told:
                yield name, f"{outcome.capitalize()}: {'; '.join(told)}."
        yield from ((name, line) for line in _groups_told(comparison, place, deltas))


def _counted(deltas: Sequence[Delta], reference: str) -> str:
    counts = {outcome: sum(each.outcome == outcome for each in deltas) for outcome in OUTCOMES}
    rest = len(deltas) - counts["better"] - counts["worse"]
    return (
        f"Of {len(deltas)} quantities paired with {reference}, {counts['better']} are better, "
        f"{counts['worse']} worse, {rest} without a clear change."
    )


def _groups_told(comparison: Comparison, place: int, deltas: Sequence[Delta]) -> Iterator[str]:
    """Which groups fare worse, beside what holds on average."""
    of_run = [each for each in comparison.groups if each.run == place]
    if not of_run:
        return
    worse = [each for each in of_run if each.outcome == "worse"]
    for whole in deltas:
        hurt = [each for each in worse if each.quantity == whole.quantity]
        if not hurt:
            continue
        told = "; ".join(f"{group_name(each)} {change(each)} (n = {each.n:,})" for each in hurt)
        lead = {
            "better": f"{quantity(whole)} is better on average, but worse for",
            "worse": f"{quantity(whole)} is worse, and clearly so for",
        }.get(whole.outcome, f"{quantity(whole)} shows no clear change on average, but is worse for")
        yield f"{lead} {told}."
    if not worse:
        yield f"No group of {LEAST_OF_GROUP} examples or more is clearly worse off."


def reading_notes(comparison: Comparison) -> Iterator[str]:
    """How to read it, and what it does not say."""
    reference, level = names(comparison)[0], 1 - comparison.confidence
    yield (
        f"Δ: the run minus {reference}, the reference; shares in percentage points. Better and worse are "
        f"said where the corrected p-value is at most {level:.2g}; intervals are not corrected."
    )
    yield "No clear change does not mean no change."
    yield (
        "Yes/no quantities: Bonett and Price's interval, exact McNemar test. Other means: bootstrap of the "
        "examples' differences, sign-flip test. AUCs: DeLong. Unpaired: MOVER."
    )
    yield (
        "One training run each: the intervals are over examples. Another seed gives another model; to "
        "compare recipes, train several seeds: raiaudit models compare."
    )
