"""The metrics of the trade-off study: what any study has, and what canaries and the accountant say of ε."""

from __future__ import annotations

from collections.abc import Callable

from raiaudit.audit.studies.cells import Cells, Runs, measured_cells, measurements_named
from raiaudit.audit.studies.metrics import (
    clean_accuracy,
    membership_auc,
    membership_tpr,
    robust_accuracy,
    worst_group_accuracy,
)

__all__ = ["CELLS"]

_BOUNDS = ("f-DP", "(ε, δ)")  # of privacy.canaries, the stronger one first


def epsilon_lower(runs: Runs) -> Cells:
    """The largest of what canaries show, by the one bound that every run has; no interval of its own.

    privacy.canaries shares its error out among the kinds of canary, so that the largest of a bound holds.
    """
    measured = {
        name: measurements_named(run, "privacy.canaries", "epsilon_lower_bound") for name, run in runs.items()
    }
    bounds = [
        {str(m.where.get("bound")) for m in found if m.value is not None} for found in measured.values()
    ]
    shared = set.intersection(*bounds)
    chosen = next((bound for bound in _BOUNDS if bound in shared), None)
    cells = measured_cells(
        runs, "privacy.canaries", "epsilon_lower_bound", {"bound": chosen} if chosen else {}
    )
    for name, run in runs.items():
        caps = [
            m.value
            for m in measurements_named(run, "privacy.canaries", "epsilon_power_cap")
            if m.value is not None and m.where.get("bound") == chosen
        ]
        if caps and cells[name].value is not None:
            told = f"{cells[name].slice}; a perfect attack would show {max(caps):.3g}"
            cells[name] = cells[name].model_copy(update={"slice": told})
    return cells


def epsilon(runs: Runs) -> Cells:
    """The accountant's upper bound."""
    return measured_cells(runs, "privacy.accounting", "epsilon", {})


CELLS: dict[str, Callable[[Runs], Cells]] = {
    "clean_accuracy": clean_accuracy,
    "robust_accuracy": robust_accuracy,
    "worst_group_accuracy": worst_group_accuracy,
    "membership_auc": membership_auc,
    "membership_tpr": membership_tpr,
    "epsilon_lower": epsilon_lower,
    "epsilon": epsilon,
}
"""Metric → its cell for every variant, in the order of the table."""
