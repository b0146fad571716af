"""Who pays for a narrower gap, in words.

A gap closes by lifting the worse-off group, by taking from the better-off one, or by taking from everybody:
levelling down (B. Mittelstadt, S. Wachter, C. Russell, The unfairness of fair machine learning,
arXiv:2302.02404), which no parity metric shows. Only what the paired intervals bear out is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from raiaudit.audit.studies.cells import Cell
    from raiaudit.models.recipe import Criterion

__all__ = ["GAP_OF", "levels_down", "told"]

GAP_OF: Mapping[Criterion, str] = {
    "demographic_parity": "demographic_parity_difference",
    "equal_opportunity": "equal_opportunity_difference",
    "equalized_odds": "equalized_odds_difference",
}
_WORDS = {
    "accuracy": ("Less accurate for", "More accurate for"),
    "selection_rate": ("Selected less often", "Selected more often"),
    "true_positive_rate": ("Fewer of the positives found among", "More of the positives found among"),
}


def levels_down(gap: Cell, groups: Mapping[str, Cell]) -> bool:
    """Whether the gap narrowed while this rate, of which more is better, fell in every group."""
    narrower = gap.change is not None and gap.change.high < 0
    return (
        narrower and bool(groups) and all(c.change is not None and c.change.high < 0 for c in groups.values())
    )


def told(gap: Cell, harm: Mapping[str, Mapping[str, Cell]], criterion: Criterion) -> Iterator[str]:
    """Sentences about one variant: the gap, who gained and lost in each rate, and whether it levels down."""
    yield _gap(gap, criterion)
    for metric, (less, more) in _WORDS.items():
        groups = harm.get(metric, {})
        for words, sign in ((less, -1), (more, 1)):
            moved = [
                f"{group} ({_points(cell.change.difference)})"
                for group, cell in groups.items()
                if cell.change is not None and min(sign * cell.change.low, sign * cell.change.high) > 0
            ]
            if moved:
                yield f"{words}{':' if metric == 'selection_rate' else ''} {', '.join(moved)}."
    selected = [cell.value for cell in harm.get("selection_rate", {}).values()]
    if selected and not any(selected):
        yield "Nobody is selected any more."
    benefit = "selection_rate" if criterion == "demographic_parity" else "true_positive_rate"
    if levels_down(gap, harm.get("accuracy", {})):
        yield "LEVELLING DOWN: the gap narrows, and every group is served less accurately than before."
    if levels_down(gap, harm.get(benefit, {})):
        what = "is selected less often" if benefit == "selection_rate" else "has fewer of its positives found"
        yield f"LEVELLING DOWN: the gap narrows by taking from everybody; every group {what} than before."
    elif gap.change is not None and gap.change.high < 0 and _nobody_gains(harm.get(benefit, {})):
        yield "The gap narrows by taking from some; no group measurably gains."


def _gap(gap: Cell, criterion: Criterion) -> str:
    name = GAP_OF[criterion].replace("_", " ")
    if gap.change is None:
        return f"How the {name} changed is not known: {gap.reason or 'it was not measured for both models'}."
    change = gap.change
    limits = f"{_points(change.difference)} points [{_points(change.low)}, {_points(change.high)}]"
    if change.high < 0:
        return f"Narrows the {name}: {limits}."
    if change.low > 0:
        return f"Widens the {name}: {limits}."
    return f"No measurable change of the {name}: {limits}."


def _nobody_gains(groups: Mapping[str, Cell]) -> bool:
    changes = [cell.change for cell in groups.values() if cell.change is not None]
    return any(c.high < 0 for c in changes) and not any(c.low > 0 for c in changes)


def _points(number: float) -> str:
    text = f"{100 * abs(number):.1f}"
    return text if float(text) == 0 else f"{'+' if number > 0 else '−'}{text}"
