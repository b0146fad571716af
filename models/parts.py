"""The parts of a recipe that can be switched off one at a time, for ablations (no torch here).

A part is an option with a neutral value, under the name it has in a spec: `cutout`, `adversary.ramp`. A
recipe has those parts that stand at another value and that its kind of training reads. What a network is
built of (`architecture`, `options`), how long it learns and how fast is no part.
"""

from __future__ import annotations

from typing import Any

from raiaudit.errors import UnknownNameError
from raiaudit.models.recipe import Recipe

__all__ = ["NEUTRAL", "parts_of", "setting_of", "without"]

NEUTRAL: dict[str, Any] = {
    "augment": "none",
    "cutout": 0.0,
    "mixup": 0.0,
    "label_smoothing": 0.0,
    "average": 0.0,
    "schedule": "constant",
    "gradient_clip": 0.0,
    "weight_decay": 0.0,
    "adversary.objective": "pgd",
    "adversary.ramp": 0.0,
    "adversary.gradalign": 0.0,
    "adversary.weight_perturbation": 0.0,
    "adversary.watch": 0,
    "privacy.augmentations": 1,
    "fairness": None,
}
"""Part → the value at which it does nothing. Without `fairness` a recipe is a standard one."""


def setting_of(recipe: Recipe, part: str) -> Any:
    """What the recipe says of the part; None where it says nothing."""
    owner, _, option = part.rpartition(".")
    holder = getattr(recipe, owner) if owner else recipe
    return getattr(holder, option, None)


def parts_of(recipe: Recipe) -> tuple[str, ...]:
    """The parts this recipe has, in the order of `NEUTRAL`."""
    return tuple(
        part
        for part, neutral in NEUTRAL.items()
        if setting_of(recipe, part) not in (None, neutral) and not _ignored(recipe, part)
    )


def without(recipe: Recipe, part: str) -> Recipe:
    """The recipe with one part at its neutral value. Raises `UnknownNameError` for a part it lacks."""
    if part not in parts_of(recipe):
        raise UnknownNameError("part of this recipe", part, parts_of(recipe))
    fields = recipe.model_dump()
    owner, _, option = part.rpartition(".")
    (fields[owner] if owner else fields)[option] = NEUTRAL[part]
    if part == "fairness":
        fields["kind"] = "standard"
    return Recipe.model_validate(fields)


def _ignored(recipe: Recipe, part: str) -> bool:
    """Whether its kind of training never reads the part, or the part is not one to do without."""
    if part == "adversary.objective":  # N-FGSM is PGD-AT at another price, not with something added
        return bool(setting_of(recipe, part) == "fast")
    if recipe.kind == "private":  # clips each example's gradient instead, and keeps the last epoch
        return part in ("gradient_clip", "adversary.watch")
    return False
