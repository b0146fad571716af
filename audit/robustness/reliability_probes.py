"""The probes of `robustness.reliability`: what each asks the model, as columns of the ledger.

`answers` for every modality; `battery`, `transfer` and `binarisation` for images; `ladder` for the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import polars as pl

from raiaudit.audit.robustness.attack_names import DEFAULT_ATTACK

if TYPE_CHECKING:
    from torch import Tensor

    from raiaudit.attacks.evasion.base import LogitsOf
    from raiaudit.attacks.spaces import ImageBox
    from raiaudit.attacks.threats import ThreatModel
    from raiaudit.audit.subject import Subject

__all__ = ["PROBES", "Columns", "probes_for"]

Columns = dict[str, Any]
"""Name without the prefix: a tensor or list of length N."""

_TRAINING_INPUTS = 2000
_PLANTED = 16  # examples of the binarisation test, the dearest for each


def probes_for(modality: str) -> tuple[str, ...]:
    """In the order of their cost."""
    return (
        ("answers", "binarisation", "transfer", "battery") if modality == "image" else ("answers", "ladder")
    )


def _asked(subject: Subject, count: int) -> tuple[LogitsOf, Any, Tensor, Tensor]:
    """What answers, the first `count` inputs as it takes them, their labels and their ids."""
    import torch

    rows = subject.test.take(slice(0, count))
    y_B, ids_B = torch.from_numpy(rows.labels).to(subject.device), torch.arange(count, device=subject.device)
    if subject.dataset.modality == "text":
        return lambda texts: subject.classifier(subject.tensor(texts)), rows.inputs, y_B, ids_B
    return subject.classifier, subject.tensor(rows.inputs), y_B, ids_B


def _box(subject: Subject) -> ImageBox:
    from raiaudit.attacks.spaces import ImageBox

    space = subject.dataset.space
    assert isinstance(space, ImageBox)
    return space


def _answers(subject: Subject, threat: ThreatModel, count: int, options: dict[str, int]) -> Columns:
    from raiaudit.attacks.evasion.diagnostics.answers import answers
    from raiaudit.attacks.evasion.diagnostics.surroundings import surroundings

    classifier, x, _, ids_B = _asked(subject, count)
    found = answers(classifier, x, module=subject.classifier)
    columns: Columns = {
        "asked": [True] * count,
        "probabilities": found.probabilities_B,
        "differs": found.differ_B,
        "neighbours": found.neighbours_B,
        "changes": [found.changes] * count,
        "optimises": [found.optimises] * count,
        "answers.forwards": [found.forwards] * count,
    }
    if subject.dataset.modality != "image":
        return columns
    around = surroundings(
        classifier, x, space=_box(subject), radius=threat.eps, ids_B=ids_B, seed=subject.seed
    )
    return columns | {
        "plateau": around.plateau_B,
        "variation": around.variation_B,
        "surroundings.forwards": [around.forwards] * count,
    }


def _battery(subject: Subject, threat: ThreatModel, count: int, options: dict[str, int]) -> Columns:
    from raiaudit.attacks.evasion.diagnostics.answers import answers
    from raiaudit.attacks.evasion.diagnostics.battery import battery

    classifier, x, y_B, ids_B = _asked(subject, count)
    known = answers(classifier, x, module=subject.classifier)
    found: Columns = dict(
        battery(
            classifier,
            x,
            y_B,
            threat,
            space=_box(subject),
            ids_B=ids_B,
            seed=subject.seed,
            steps=options["steps"],
            queries=options["queries"],
            random=bool(known.differ_B.any()),
            probabilities=bool(known.probabilities_B.all()),
        )
    )
    spent = {f"battery.{name}": found.pop(name) for name in ("forwards", "backwards")}
    return {"expectation": [None] * count} | found | spent


def _transfer(subject: Subject, threat: ThreatModel, count: int, options: dict[str, int]) -> Columns:
    from raiaudit.attacks.evasion.diagnostics.substitute import substitute, transferred

    if "train" not in subject.dataset.splits:
        return {"transfer": [None] * count}
    classifier, x, y_B, _ = _asked(subject, count)
    train = subject.dataset.splits["train"]
    inputs = subject.tensor(train.take(slice(0, _TRAINING_INPUTS)).inputs)
    broken_B = transferred(
        classifier,
        substitute(classifier, inputs, seed=subject.seed),
        x,
        y_B,
        threat,
        space=_box(subject),
        seed=subject.seed,
        steps=options["steps"],
    )
    return {"transfer": broken_B, "transfer.forwards": [2 + len(inputs) // count] * count}


def _binarisation(subject: Subject, threat: ThreatModel, count: int, options: dict[str, int]) -> Columns:
    from raiaudit.attacks.evasion.diagnostics.binarisation import POINTS, binarisation

    few = min(_PLANTED, count)
    classifier, x, _, ids_B = _asked(subject, few)
    tested_B, found_B = binarisation(
        classifier, x, threat, space=_box(subject), ids_B=ids_B, seed=subject.seed, steps=options["steps"]
    )
    results = [bool(found) if tested else None for tested, found in zip(tested_B, found_B, strict=True)]
    rest = count - few
    return {
        "binarised": results + [None] * rest,
        "binarisation.forwards": [POINTS + options["steps"]] * few + [0] * rest,
        "binarisation.backwards": [options["steps"]] * few + [0] * rest,
    }


def _ladder(subject: Subject, threat: ThreatModel, count: int, options: dict[str, int]) -> Columns:
    import torch

    from raiaudit.attacks.evasion import EVASION
    from raiaudit.attacks.evasion.diagnostics.ladder import ladder

    classifier, x, y_B, ids_B = _asked(subject, count)
    found: Columns = dict(
        ladder(
            EVASION[DEFAULT_ATTACK[subject.dataset.modality]](),
            classifier,
            x,
            y_B,
            threat,
            space=subject.dataset.space,
            ids_B=ids_B,
            seed=subject.seed,
        )
    )
    with torch.no_grad():
        clean_B = classifier(x).argmax(1) != y_B
    spent = {f"ladder.{name}": found.pop(name) for name in ("forwards", "backwards")}
    return {"clean": clean_B} | found | spent


PROBES: dict[str, Callable[[Subject, ThreatModel, int, dict[str, int]], Columns]] = {
    "answers": _answers,
    "battery": _battery,
    "transfer": _transfer,
    "binarisation": _binarisation,
    "ladder": _ladder,
}
"""(subject, threat, examples, options) → columns."""


def as_series(name: str, values: Any) -> pl.Series:
    """A column of the ledger; one that is empty throughout is of truth values."""
    if not isinstance(values, list):
        return pl.Series(name, values.cpu().numpy())
    return pl.Series(name, values, dtype=pl.Boolean) if None in values else pl.Series(name, values)
