"""Ablations: what each part of a recipe is worth, by training it without that part.

Every variant is trained with the same seeds as the full recipe and asked about the same test examples, so
that the difference is a paired one; p-values are corrected for the number of parts (Holm). A variant is
registered as `NAME.without-PART` and found again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raiaudit.audit.pairing import compare
from raiaudit.audit.replication import replicate
from raiaudit.audit.statistics.replicates import holm
from raiaudit.errors import UsageError
from raiaudit.models.parts import parts_of, setting_of, without

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from raiaudit.audit.journal import Listener
    from raiaudit.audit.pairing import PairedComparison
    from raiaudit.audit.replication import Replication
    from raiaudit.audit.spec import RunOptions
    from raiaudit.models.data.dataset import Dataset
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.registry import Registry

__all__ = ["Ablation", "Variant", "ablate"]

_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Variant:
    """The recipe without `part`, which the full one has at `setting`.

    `changes` are by metric, without − full: below 0, the part helps. `corrected` holds, by metric, Holm's
    p-value of the change: over the seeds, or over the examples where there is one seed.
    """

    part: str
    setting: str | float
    changes: dict[str, PairedComparison]
    corrected: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Ablation:
    """The full recipe's models and its variants."""

    full: Replication
    variants: tuple[Variant, ...]


def ablate(
    registry: Registry,
    name: str,
    recipe: Recipe,
    dataset: Dataset,
    *,
    parts: Sequence[str] = (),
    seeds: Sequence[int],
    options: RunOptions,
    home: Path,
    listener: Listener,
) -> Ablation:
    """Without each of `parts` (default: all the recipe has) in turn; with its robust accuracy where the
    recipe has an adversary, in the ball of that adversary.

    Raises `UsageError` when there is no part, `UnknownNameError` for one the recipe lacks.
    """
    chosen = tuple(dict.fromkeys(parts)) or parts_of(recipe)
    if not chosen:
        raise UsageError(f"the recipe of {name} has no part that could be switched off")
    recipes = {part: without(recipe, part) for part in chosen}

    def trained(title: str, variant: Recipe, aliases: Sequence[str]) -> Replication:
        return replicate(
            registry,
            title,
            variant,
            dataset,
            seeds=seeds,
            options=options,
            home=home,
            listener=listener,
            aliases=aliases,
            adversary=recipe.adversary,
        )

    full = trained(name, recipe, ("candidate",))
    changes = {}
    for part, variant in recipes.items():
        suffix = f".without-{part}"
        replication = trained(name[: _LONGEST_NAME - len(suffix)] + suffix, variant, ())
        compared = compare(replication, full)
        changes[part] = {found.metric: found for found in compared}
    corrected: dict[str, dict[str, float | None]] = {part: {} for part in chosen}
    for metric in full.metrics:
        p_values = [_p(changes[part][metric]) for part in chosen]
        for part, p in zip(chosen, holm(p_values), strict=True):
            corrected[part][metric] = p
    variants = [Variant(part, _told(recipe, part), changes[part], corrected[part]) for part in chosen]
    return Ablation(full, tuple(variants))


def _told(recipe: Recipe, part: str) -> str | float:
    setting: Any = setting_of(recipe, part)
    return str(setting.method) if part == "fairness" else setting


def _p(change: PairedComparison) -> float | None:
    if len(change.seeds) > 1:
        return change.between_seeds.p
    return change.between_examples.p if change.between_examples is not None else None
