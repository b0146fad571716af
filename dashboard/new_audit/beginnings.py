"""What a form begins with, and what is offered where a schema only says "a name"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from raiaudit.audit.drafting.drafting import Overrides, draft
from raiaudit.errors import UsageError
from raiaudit.models.data.known import KNOWN
from raiaudit.models.names import ARCHITECTURE_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DIGITS", "EMPTY", "TYPICAL_GATES", "TYPICAL_OPTIONS", "architectures", "drafted", "of_model"]

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
        "text": {"eps": 0.1, "examples": 100},
        "tabular": {"eps": 0.1, "examples": 500},
    },
    "robustness.reliability": {"image": {"eps": "8/255"}, "text": {"eps": 0.1}, "tabular": {"eps": 0.1}},
}
"""Check → kind of data → options that have no default."""


def drafted(chosen: Mapping[str, str]) -> dict[str, Any]:
    """The spec that `raiaudit init` drafts for these data (`name`, or `path`, `label`, `id`, `text`).

    What it leaves to a person, purpose and owner, is left empty. Raises `RaiauditError` kinds, `OSError`.
    """
    data = chosen.get("name") or str(Path(chosen.get("path", "")).expanduser())
    if not chosen.get("name") and not chosen.get("path"):
        raise UsageError("no data are chosen yet", remedy="choose a data set, or say where your files are")
    said = Overrides(label=chosen.get("label"), id=chosen.get("id"), text=chosen.get("text"))
    # Paths in a draft are relative to its target: here they are made whole again.
    target = Path.cwd() / "spec.yaml"
    spec: dict[str, Any] = yaml.safe_load(draft(data, target=target, said=said).text)
    spec.pop("context", None)
    for key in ("path", "train", "validation", "test"):
        if key in spec["data"]:
            spec["data"][key] = str((target.parent / spec["data"][key]).resolve())
    return spec


def of_model(reference: str, data: str) -> dict[str, Any]:
    """For a registered model (NAME/VERSION), on the data set it was trained on if that has a known name."""
    named = {"data": {"name": data}} if data in KNOWN else {}
    return {**named, "model": {"ref": f"registry:{reference}"}, "checks": [*EMPTY["checks"]]}


def architectures(modality: str | None) -> list[str]:
    """The names that fit this kind of data, or all."""
    return [name for name, takes in ARCHITECTURE_NAMES.items() if modality is None or modality in takes]
