"""What a study's metrics are called, and how they read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raiaudit.audit.studies.study import Study

__all__ = ["METRIC_TITLES", "in_percent", "metric_slice"]

METRIC_TITLES = {
    "clean_accuracy": "Clean accuracy",
    "demographic_parity_difference": "Demographic parity difference",
    "equal_opportunity_difference": "Equal opportunity difference",
    "equalized_odds_difference": "Equalized odds difference",
    "accuracy_difference": "Accuracy difference",
    "impact_ratio": "Impact ratio",
    "robust_accuracy": "Robust accuracy",
    "worst_group_accuracy": "Worst-group accuracy",
    "membership_auc": "Membership AUC",
    "membership_tpr": "Membership TPR",
    "epsilon_lower": "ε shown by canaries, at least",
    "epsilon": "ε of the accountant, at most",
}
_PLAIN = ("impact_ratio", "membership_auc", "epsilon_lower", "epsilon")


def in_percent(metric: str) -> bool:
    """Whether the metric reads in percent."""
    return metric not in _PLAIN


def metric_slice(study: Study, metric: str) -> str:
    """What was measured exactly, where that is the same for all variants."""
    slices = {row.cells[metric].slice for row in study.rows if row.cells[metric].value is not None}
    return slices.pop() if len(slices) == 1 else ""
