"""Recipes: how a classifier is trained, as plain data (no torch here).

A recipe names the family member to build (`architecture`, `options`) and the step that trains it:
`standard`, `adversarial` (PGD inside the loop, arXiv:1706.06083) or `private` (DP-SGD,
arXiv:1607.00133). Target and shadow models share one recipe.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from raiaudit.models.numbers import Fraction

__all__ = ["TRAINING_VERSION", "Adversary", "Augmentation", "PrivacyBudget", "Recipe", "training_key"]

TRAINING_VERSION = 1
"""Raised whenever the same recipe, data and seed would give other weights."""

Augmentation = Literal["none", "shift", "crop-flip"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Adversary(_Frozen):
    """The inner maximisation of adversarial training: PGD with `steps` steps in a ball of radius `eps`."""

    norm: Literal["linf", "l2"] = "linf"
    eps: Fraction = Field(gt=0)
    steps: int = Field(default=7, ge=1)
    step_size: Fraction | None = Field(default=None, gt=0, description="default: 2.5·eps/steps")


class PrivacyBudget(_Frozen):
    """What DP-SGD may spend: (epsilon, delta), each example's gradient clipped to `clip` in L2."""

    epsilon: float = Field(gt=0)
    delta: float = Field(gt=0, lt=1)
    clip: float = Field(default=1.0, gt=0)


class Recipe(_Frozen):
    """Everything that decides the trained weights besides the data and the seed."""

    kind: Literal["standard", "adversarial", "private"] = "standard"
    architecture: str
    options: dict[str, Any] = Field(default_factory=dict, description="arguments of the architecture")
    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=128, ge=1, description="private: the expected Poisson batch size")
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    schedule: Literal["onecycle", "constant"] = "onecycle"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    augment: Augmentation = "none"
    average: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="decay of the moving average of weights to keep; 0: the last ones",
    )
    train_limit: int | None = Field(default=None, ge=1, description="use only the first N training examples")
    adversary: Adversary | None = None
    privacy: PrivacyBudget | None = None

    @model_validator(mode="after")
    def _parts_match_kind(self) -> Recipe:
        if (self.kind == "adversarial") != (self.adversary is not None):
            raise ValueError("`adversary` belongs to, and is required by, kind: adversarial")
        if (self.kind == "private") != (self.privacy is not None):
            raise ValueError("`privacy` belongs to, and is required by, kind: private")
        return self

    def digest(self) -> str:
        """Sha256 (hex) of the canonical JSON form."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def training_key(recipe: Recipe, *, data_digest: str, seed: int) -> str:
    """Sha256 (hex) of everything that decides the weights: the identity of a model before it is trained."""
    parts = [recipe.digest(), data_digest, seed, TRAINING_VERSION]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
