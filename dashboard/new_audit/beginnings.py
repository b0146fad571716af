"""What a form begins with, and what is offered where a schema only says "a name"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raiaudit.models.names import ARCHITECTURE_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DIGITS", "EMPTY", "TYPICAL_GATES", "TYPICAL_OPTIONS", "architectures"]

DIGITS: dict[str, Any] = {
    "name": "first-audit",
    "data": {"name": "digits"},
    "model": {"recipe": {"architecture": "cnn", "epochs": 10}},
    "context": {"purpose": "To try raiaudit: reading a handwritten digit"},
    "run": {"seed": 7},
    "checks": [
        {"use": "performance.accuracy", "gate": [{"metric": "accuracy", "min": 0.9}]},
        {
            "use": "robustness.evasion",
            "with": {"eps": 0.05, "attack": "pgd", "steps": 20},
            "gate": [{"metric": "robust_accuracy", "min": 0.5}],
        },
        {"use": "fairness.groups"},
        {"use": "reliability.calibration"},
    ],
}
"""The smallest audit worth reading: under a minute on one core."""

EMPTY: dict[str, Any] = {"checks": [{"use": "performance.accuracy"}]}

TYPICAL_GATES: Mapping[str, Mapping[str, Any]] = {
    "performance.accuracy": {"metric": "accuracy", "min": 0.9},
    "robustness.evasion": {"metric": "robust_accuracy", "min": 0.5},
    "privacy.membership": {"metric": "membership_auc", "max": 0.6},
    "privacy.accounting": {"metric": "epsilon", "max": 8},
    "fairness.groups": {"metric": "impact_ratio", "min": 0.8},
    "explanations.attribution": {"metric": "deletion_gain", "min": 0},
    "reliability.calibration": {"metric": "ece", "max": 0.1},
}
"""The gate that is put to most audits of its kind: a place to begin, to be set by who answers for it."""

TYPICAL_OPTIONS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "robustness.evasion": {
        "image": {"eps": "8/255", "examples": 200},
        "text": {"eps": 2, "examples": 100},
        "tabular": {"eps": 0.1, "examples": 500},
    },
    "robustness.reliability": {"image": {"eps": "8/255"}, "text": {"eps": 2}, "tabular": {"eps": 0.1}},
}
"""Check → kind of data → options that have no default."""


def architectures(modality: str | None) -> list[str]:
    """The names that fit this kind of data, or all."""
    return [name for name, takes in ARCHITECTURE_NAMES.items() if modality is None or modality in takes]
