"""What the report says of the audited model and its data: pairs of a name and a value."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from raiaudit.models.names import PREDICTIONS
from raiaudit.models.recipe import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raiaudit.audit.results import DataCard, SubjectCard
    from raiaudit.models.recipe import Mitigation
    from raiaudit.models.version import PrivacyRecord

    Pairs = list[tuple[str, str]]

__all__ = ["data_facts", "group_rows", "privacy_facts", "system_facts"]

_SETTING_SHOWN = 160
_CLASSES_SHOWN = 24

_GROUPS = 40


def system_facts(subject: SubjectCard) -> Pairs:
    """The model: what it is, how it was trained and loaded."""
    record = subject.record
    if record.is_predictions:
        return [
            ("Name", subject.name),
            ("What it is", "predictions from a file; no model was seen"),
            ("Columns", _settings(record.config)),
            ("Code version", record.code_version),
        ]
    facts: Pairs = [
        ("Name", subject.name),
        ("Version", str(subject.version) if subject.version else "not registered"),
        (
            "Architecture",
            f"{record.architecture}, unverifiable weights: known by its answers alone"
            if record.is_black_box
            else f"{record.architecture}, {record.parameters:,} parameters",
        ),
    ]
    if record.config:
        facts.append(("Options", _settings(record.config)))
    if record.recipe is not None:
        recipe = record.recipe
        facts.append(
            (
                "Training",
                f"{recipe.kind}, {recipe.epochs} epochs, batch {recipe.batch_size}, {recipe.optimizer}",
            )
        )
        if recipe.adversary is not None:
            facts.append(("Adversary", _settings(recipe.adversary.model_dump(exclude_none=True))))
        if recipe.fairness is not None:
            facts.append(("Mitigation", _mitigation(recipe.fairness)))
    elif record.is_black_box:
        facts.append(("Training", "unknown: the model is somebody else's"))
    else:
        facts.append(("Training", "unknown: the weights came from outside"))
    if record.loaded is not None:
        how = "with --unsafe-load, which can run code" if record.loaded.unsafe else "without running code"
        facts.append(("Loaded from", f"{record.loaded.form}, {how}"))
    if record.data_name:
        facts.append(("Trained on", record.data_name))
    if record.seed is not None:
        facts.append(("Training seed", str(record.seed)))
    if record.metrics:
        facts.append(("Recorded metrics", _settings(record.metrics)))
    return [*facts, ("Code version", record.code_version)]


def _mitigation(mitigation: Mitigation) -> str:
    """The method, the attribute and the settings that the method reads."""
    given = mitigation.model_dump(exclude_none=True)
    own = {name: given[name] for name in SETTINGS.get(mitigation.method, ()) if name in given}
    return _settings({"method": mitigation.method, "attribute": mitigation.attribute, **own})


def privacy_facts(record: PrivacyRecord | None) -> Pairs:
    """What the training promised; nothing for a training that was not private."""
    if record is None:
        return []
    prv = "not computed" if record.epsilon_prv is None else f"{record.epsilon_prv:.3f}"
    return [
        (
            "ε (PLD accountant)",
            f"{record.epsilon_pld:.3f} at δ = {record.delta:g} (target {record.target_epsilon:g})",
        ),
        ("ε (PRV accountant)", prv),
        ("Mechanism", f"Gaussian, noise multiplier {record.noise_multiplier:.4g}, clip {record.clip:g}"),
        (
            "Sampling",
            f"{'Poisson' if record.poisson_sampling else 'not Poisson'}, rate {record.sample_rate:.4g}, "
            f"{record.steps:,} steps",
        ),
        ("Certified", "yes" if record.certified else f"no: {record.why or 'no reason recorded'}"),
    ]


def data_facts(data: DataCard) -> Pairs:
    """The data set and how much of it was audited."""
    classes = ", ".join(data.classes[:_CLASSES_SHOWN])
    more = len(data.classes) - _CLASSES_SHOWN
    return [
        ("Name", data.name),
        ("Modality", data.modality),
        ("Examples", ", ".join(f"{name} {size:,}" for name, size in data.sizes.items())),
        ("Audited", f"{data.audited:,} {'rows' if data.modality == PREDICTIONS else 'test examples'}"),
        ("Classes", classes + (f" and {more} more" if more > 0 else "")),
        ("Source", data.source or "not stated"),
        ("Licence", data.licence or "not stated"),
    ]


def _settings(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_setting(value)}" for key, value in values.items())


def _setting(value: Any) -> str:
    """As written; what would fill pages (a tokenizer, a table's columns) by its length and digest."""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    if len(text) <= _SETTING_SHOWN:
        return text
    return f"({len(text):,} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()[:12]})"


def group_rows(column: str, levels: Mapping[str, int]) -> list[list[str]]:
    """A row a group; of hundreds the largest, and what the others are together."""
    shown = dict(sorted(levels.items(), key=lambda item: -item[1])[:_GROUPS])
    rows = [[column, level, f"{count:,}"] for level, count in levels.items() if level in shown]
    more, people = len(levels) - len(shown), sum(levels.values()) - sum(shown.values())
    return [*rows, *([[column, f"and {more:,} smaller groups", f"{people:,}"]] if more else [])]
