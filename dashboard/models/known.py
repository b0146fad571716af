"""Every model known here: audited, in the registry, or both; one entry a set of weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from raiaudit.dashboard.reading import told_of
from raiaudit.models.registry_listing import record_beside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.store import Home
    from raiaudit.dashboard.reading import RunEntry
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.registry import RegisteredModel
    from raiaudit.models.version import TrainingRecord

__all__ = ["KnownModel", "known_models", "recipe_in_words"]


@dataclass(slots=True)
class KnownModel:
    """`digest` tells models apart; `runs` audited it, newest first; `record`: None where none was kept."""

    digest: str
    name: str
    record: TrainingRecord | None
    registered: list[RegisteredModel] = field(default_factory=list)
    runs: list[RunEntry] = field(default_factory=list)

    @property
    def registry(self) -> str:
        """Where the registry has it: "digits-cnn/1 @candidate"."""
        return ", ".join(
            " ".join([f"{model.name}/{model.version}", *(f"@{alias}" for alias in model.aliases)])
            for model in self.registered
        )


def known_models(
    home: Home, entries: Sequence[RunEntry], registered: Sequence[RegisteredModel]
) -> list[KnownModel]:
    """The most recently audited first, then those that nobody audited, newest version first."""
    found: dict[str, KnownModel] = {}
    for entry in entries:
        if entry.header is None or entry.header.status != "finished":
            continue
        told = told_of(entry.run)
        if told is not None and not told.subject.record.is_predictions:
            record = told.subject.record
            model = found.setdefault(
                record.weights_digest, KnownModel(record.weights_digest, told.subject.name, record)
            )
            model.runs.append(entry)
    for version in sorted(registered, key=lambda model: -model.created):
        digest = version.tags.get("raiaudit.weights", f"{version.name}/{version.version}")
        if digest not in found:
            found[digest] = KnownModel(digest, version.name, record_beside(home.root, version))
        found[digest].registered.append(version)
    return list(found.values())


def recipe_in_words(recipe: Recipe | None) -> str:
    """What was done to the model besides learning: "adversarial, linf ε 0.18"."""
    if recipe is None:
        return "trained elsewhere"
    if recipe.adversary is not None:
        return f"{recipe.kind}, {recipe.adversary.norm} ε {recipe.adversary.eps:.4g}"
    if recipe.fairness is not None:
        return f"fair, {recipe.fairness.method.replace('_', ' ')} by {recipe.fairness.attribute}"
    return recipe.kind
