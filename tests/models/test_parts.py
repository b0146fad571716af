"""Parts of recipes: what can be switched off, and that nothing else changes with it."""

from __future__ import annotations

import typing

import pytest
from pydantic import BaseModel

from raiaudit.errors import UnknownNameError
from raiaudit.models.parts import NEUTRAL, parts_of, setting_of, without
from raiaudit.models.recipe import Adversary, Mitigation, PrivacyBudget, Recipe

FULL = Recipe(
    architecture="cnn",
    label_smoothing=0.1,
    augment="crop-flip",
    cutout=0.5,
    mixup=0.2,
    average=0.99,
)
PLAIN = Recipe(architecture="cnn", schedule="constant", gradient_clip=0, weight_decay=0)
ADVERSARIAL = Recipe(
    kind="adversarial",
    architecture="cnn",
    adversary=Adversary(
        eps=0.1, objective="trades", ramp=0.3, gradalign=0.2, weight_perturbation=0.005, watch=10
    ),
)
PRIVATE = Recipe(
    kind="private", architecture="cnn", privacy=PrivacyBudget(epsilon=3, delta=1e-5, augmentations=8)
)
BOTH = Recipe(
    kind="private", architecture="cnn", privacy=PRIVATE.privacy, adversary=Adversary(eps=0.1, ramp=0.2)
)
FAIR = Recipe(
    kind="fair", architecture="mlp", fairness=Mitigation(method="group_dro", attribute="sex", strength=2)
)
USUAL = ("schedule", "gradient_clip", "weight_decay")


@pytest.mark.parametrize(
    ("recipe", "parts"),
    [
        (FULL, ("augment", "cutout", "mixup", "label_smoothing", "average", *USUAL)),
        (PLAIN, ()),
        (
            ADVERSARIAL,
            (
                *USUAL,
                *(
                    f"adversary.{part}"
                    for part in ("objective", "ramp", "gradalign", "weight_perturbation", "watch")
                ),
            ),
        ),
        # Private training clips each example's gradient: `gradient_clip` is never read.
        (PRIVATE, ("schedule", "weight_decay", "privacy.augmentations")),
        # It chooses no epoch either: `watch` is not read.
        (BOTH, ("schedule", "weight_decay", "adversary.ramp", "privacy.augmentations")),
        (FAIR, (*USUAL, "fairness")),
    ],
)
def test_the_parts_of_a_recipe(recipe: Recipe, parts: tuple[str, ...]) -> None:
    assert parts_of(recipe) == parts


@pytest.mark.parametrize("recipe", [FULL, ADVERSARIAL, PRIVATE, FAIR])
def test_without_a_part_everything_else_stays(recipe: Recipe) -> None:
    for part in parts_of(recipe):
        variant = without(recipe, part)
        assert setting_of(variant, part) == NEUTRAL[part]
        assert set(parts_of(variant)) == set(parts_of(recipe)) - {part}
        others = leaves(recipe).items() - leaves(variant).items()
        expected = {part} if part != "fairness" else {k for k in leaves(recipe) if "fairness" in k} | {"kind"}
        assert {key for key, _ in others} == expected


def test_a_quick_objective_is_no_part_of_its_own() -> None:
    quick = Recipe(kind="adversarial", architecture="cnn", adversary=Adversary(eps=0.1, objective="fast"))
    assert "adversary.objective" not in parts_of(quick)


@pytest.mark.parametrize("part", ["mixup", "cutoutt", "epochs", "privacy.augmentations"])
def test_a_part_that_the_recipe_lacks_is_refused(part: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown part of this recipe"):
        without(ADVERSARIAL, part)


def test_every_part_is_an_option_of_a_recipe() -> None:
    owners: dict[str, type[BaseModel]] = {"": Recipe, "adversary": Adversary, "privacy": PrivacyBudget}
    for part in NEUTRAL:
        owner, _, option = part.rpartition(".")
        assert option in owners[owner].model_fields


def leaves(value: typing.Any, path: str = "") -> dict[str, str]:
    """`a.b` → text of every value in it."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if not isinstance(value, dict) or not value:
        return {path: repr(value)}
    found: dict[str, str] = {}
    for key, part in value.items():
        found |= leaves(part, f"{path}.{key}" if path else key)
    return found
