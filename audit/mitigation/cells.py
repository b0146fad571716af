"""The metrics of the mitigation study, by variant: accuracy, gaps of one attribute, robustness and privacy.

Values and intervals of gaps are those of `fairness.groups`; their changes are paired (`gaps.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.audit.fairness.by_group.metrics import DIFFERENCES
from raiaudit.audit.fairness.counting.rows import CHECK_ID
from raiaudit.audit.mitigation.gaps import Family, gap_change, ratio_change
from raiaudit.audit.mitigation.outcomes import Outcomes
from raiaudit.audit.statistics.intervals import paired_difference, wilson
from raiaudit.audit.studies.cells import CONFIDENCE, STANDARD, Cell, Cells, Change, Runs, measured_cells
from raiaudit.audit.studies.metrics import (
    clean_accuracy,
    membership_auc,
    membership_tpr,
    robust_accuracy,
    worst_group_accuracy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["GROUP_METRICS", "cells_of", "harm"]

GROUP_METRICS = ("accuracy", "selection_rate", "true_positive_rate", "false_positive_rate")
"""What a mitigation may change for a group."""

_GAPS: Mapping[str, tuple[str, ...]] = {
    **{
        name: DIFFERENCES[name]
        for name in (
            "demographic_parity_difference",
            "equal_opportunity_difference",
            "equalized_odds_difference",
        )
    },
    "accuracy_difference": ("accuracy",),
}


def cells_of(runs: Runs, attribute: str, outcomes: Outcomes | None) -> dict[str, Cells]:
    """Metric → its cell for every variant, in the order of the table."""
    where = {"attribute": attribute}

    def gaps(metrics: Sequence[str]) -> Callable[[str], Change | None]:
        return lambda variant: gap_change(_families(outcomes, variant, metrics))

    found = {"clean_accuracy": clean_accuracy(runs)}
    for name, metrics in _GAPS.items():
        found[name] = _with_changes(measured_cells(runs, CHECK_ID, name, where), gaps(metrics))
    found["impact_ratio"] = _with_changes(
        measured_cells(runs, CHECK_ID, "impact_ratio", where, better="higher"),
        lambda variant: next(map(ratio_change, _families(outcomes, variant, ("selection_rate",))), None),
    )
    found["worst_group_accuracy"] = worst_group_accuracy(runs, attribute)
    found["robust_accuracy"] = robust_accuracy(runs)
    found["membership_auc"] = membership_auc(runs)
    found["membership_tpr"] = membership_tpr(runs)
    return found


def _families(outcomes: Outcomes | None, variant: str, metrics: Sequence[str]) -> list[Family]:
    if outcomes is None:
        return []
    return [(outcomes.rates(variant, metric), outcomes.rates(STANDARD, metric)) for metric in metrics]


def _with_changes(cells: Cells, change_of: Callable[[str], Change | None]) -> Cells:
    """The attribute is that of the whole table, which the slice need not repeat."""
    found = {}
    for variant, cell in cells.items():
        both = cell.value is not None and cells[STANDARD].value is not None
        change = change_of(variant) if both and variant != STANDARD else None
        found[variant] = cell.model_copy(update={"change": change, "slice": ""})
    return found


def harm(outcomes: Outcomes, variant: str) -> dict[str, dict[str, Cell]]:
    """Metric → group → its rate, and its paired change; changes of a metric hold together over the groups."""
    found: dict[str, dict[str, Cell]] = {}
    for metric in GROUP_METRICS:
        ours, base = outcomes.rates(variant, metric), outcomes.rates(STANDARD, metric)
        each = 1 - (1 - CONFIDENCE) / max(1, len(ours))
        cells = {}
        for group, rate in ours.items():
            limits, change = wilson(rate.successes, rate.n, CONFIDENCE), None
            if variant != STANDARD:
                low, high = paired_difference(rate.event_N, base[group].event_N, each)
                change = Change(difference=rate.value - base[group].value, low=low, high=high, n=rate.n)
            cells[group] = Cell(
                value=rate.value,
                low=limits.low,
                high=limits.high,
                n=rate.n,
                better={"selection_rate": "neither", "false_positive_rate": "lower"}.get(metric, "higher"),
                change=change,
            )
        if cells:
            found[metric] = cells
    return found
