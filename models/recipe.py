"""Recipes: how a classifier is trained, as plain data (no torch here).

A recipe names the family member to build (`architecture`, `options`) and the step that trains it:
`standard`, `adversarial` (an attack inside the loop), `private` (DP-SGD, arXiv:1607.00133) or `fair`
(something done about groups before, in or after training). Target and shadow models share one recipe.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from raiaudit.errors import UnknownNameError
from raiaudit.models.numbers import Fraction

__all__ = [
    "POST_PROCESSING",
    "SETTINGS",
    "TRAINING_VERSION",
    "Adversary",
    "Augmentation",
    "Criterion",
    "Method",
    "Mitigation",
    "PrivacyBudget",
    "Recipe",
    "require_attribute",
    "training_key",
]

TRAINING_VERSION = 2
"""Raised whenever the same recipe, data and seed would give other weights."""

Augmentation = Literal["none", "shift", "crop-flip"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Adversary(_Frozen):
    """The attack inside the training loop: steps in a ball of radius `eps`, and the loss it serves.

    `objective` is `pgd` (arXiv:1706.06083), `trades` (arXiv:1901.08573), `mart` (OpenReview rklOg6EFwS) or
    `fast`: one step from a noisy start, N-FGSM (arXiv:2202.01181).
    """

    norm: Literal["linf", "l2"] = Field(default="linf", description="of the ball")
    eps: Fraction = Field(
        gt=0,
        description="its radius, in units of the inputs (pixels in [0, 1]); tables: of each column's range",
    )
    objective: Literal["pgd", "trades", "mart", "fast"] = Field(
        default="pgd", description="the loss that the attack serves; fast: one step"
    )
    steps: int = Field(default=7, ge=1, description="of the inner attack; `fast` takes one")
    step_size: Fraction | None = Field(default=None, gt=0, description="default: 2.5·eps/steps; fast: eps")
    ramp: float = Field(
        default=0.0, ge=0, le=1, description="share of the epochs over which eps grows from 0"
    )
    beta: float = Field(default=6.0, ge=0, description="trades, mart: weight of the robust term")
    gradalign: float = Field(
        default=0.0, ge=0, description="weight of gradient alignment (arXiv:2007.02617); 0: off"
    )
    weight_perturbation: float = Field(
        default=0.0, ge=0, lt=1, description="AWP (arXiv:2004.05884): relative size; 0: off, usual 0.005"
    )
    watch: int = Field(
        default=10,
        ge=0,
        description="steps of the PGD that scores a held-out slice after each epoch; the best epoch is "
        "kept and a collapse ends training. 0: not watched, the last epoch is kept",
    )

    @property
    def moves_only(self) -> bool:
        """Whether the loss stays the cross-entropy, at moved inputs."""
        return self.objective in ("pgd", "fast") and not (self.gradalign or self.weight_perturbation)

    @model_validator(mode="after")
    def _noise_is_a_cube(self) -> Adversary:
        if self.objective == "fast" and self.norm != "linf":
            raise ValueError("objective: fast (N-FGSM) needs norm: linf; for l2 use pgd with steps: 1")
        return self


class PrivacyBudget(_Frozen):
    """What DP-SGD may spend: (epsilon, delta), each example's gradient clipped to `clip` in L2."""

    epsilon: float = Field(gt=0, description="ε that may be spent in all; the noise is found for it")
    delta: float = Field(gt=0, lt=1, description="δ; below one over the number of training examples")
    clip: float = Field(default=1.0, gt=0, description="largest L2 norm of one example's gradient")
    augmentations: int = Field(
        default=1, ge=1, description="views of an example averaged before clipping (arXiv:2204.13650)"
    )
    gradients: Literal["auto", "vmap", "hooks"] = Field(
        default="auto", description="how per-example gradients are computed; auto: the faster one"
    )


Criterion = Literal["demographic_parity", "equal_opportunity", "equalized_odds"]
"""What shall be alike between groups: how many are selected, of the positives alone, or of both classes."""

Method = Literal[
    "correlation_remover",
    "reweighing",
    "group_dro",
    "adversarial_debiasing",
    "lagrangian",
    "group_thresholds",
    "shared_threshold",
]

POST_PROCESSING: tuple[Method, ...] = ("group_thresholds", "shared_threshold")
"""Methods that leave training as it is and move its thresholds afterwards."""

SETTINGS: dict[str, tuple[str, ...]] = {
    "adversarial_debiasing": ("strength",),
    "group_dro": ("weights_rate",),
    "lagrangian": ("criterion", "positive", "bound", "strength", "weights_rate"),
    "group_thresholds": ("criterion", "positive", "bound"),
    "shared_threshold": ("criterion", "positive", "budget"),
}
"""Method → what it reads besides the attribute; others read nothing."""


class Mitigation(_Frozen):
    """How a model is kept from treating the groups of `attribute`, a group column of the data set, unalike.

    Before training: `correlation_remover` takes out of every column of a table what is linear in the
    attribute, `reweighing` (doi:10.1007/s10115-011-0463-8) makes group and label independent in the weighted
    loss. While training: `group_dro` (arXiv:1911.08731) minimises the worst group's loss,
    `adversarial_debiasing` (arXiv:1801.07593) hides the group from an adversary that sees the logits and the
    label, `lagrangian` (arXiv:1803.02453, arXiv:1809.04198) constrains the gaps of `criterion`. After
    training, on the validation split: `group_thresholds` (arXiv:1610.02413) sets a threshold for each group
    of a table that has the attribute among its columns, `shared_threshold` one for everybody.
    """

    method: Method = Field(description="what is done, before, in or after training")
    attribute: str = Field(description="the group column that shall be treated alike")
    criterion: Criterion = Field(
        default="demographic_parity", description="lagrangian and thresholds: what shall be alike"
    )
    positive: str | None = Field(
        default=None,
        description="lagrangian and thresholds: the class of the selected; default: the last of two",
    )
    bound: float = Field(
        default=0.01, ge=0, lt=1, description="lagrangian, group_thresholds: the gap that is allowed"
    )
    budget: float = Field(
        default=0.02, ge=0, lt=1, description="shared_threshold: accuracy that may be lost, as a share"
    )
    strength: float = Field(
        default=1.0,
        ge=0,
        description="adversarial_debiasing: weight of the adversary; lagrangian: most the multipliers add to",
    )
    weights_rate: float = Field(
        default=0.01, gt=0, description="group_dro, lagrangian: step size of the weights of the groups"
    )


class Recipe(_Frozen):
    """Everything that decides the trained weights besides the data and the seed."""

    kind: Literal["standard", "adversarial", "private", "fair"] = Field(
        default="standard", description="adversarial, private and fair need the part of their name below"
    )
    architecture: str = Field(description="a name of docs/architectures.md, such as cnn or mlp")
    options: dict[str, Any] = Field(default_factory=dict, description="arguments of the architecture")
    epochs: int = Field(default=20, ge=1, description="passes over the training examples")
    batch_size: int = Field(default=128, ge=1, description="private: the expected Poisson batch size")
    optimizer: Literal["adamw", "sgd"] = Field(default="adamw", description="of the weights")
    learning_rate: float = Field(default=2e-3, gt=0, description="of the schedule: its peak")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of sgd, Nesterov's form")
    weight_decay: float = Field(default=1e-2, ge=0, description="of the optimizer; 0: none")
    schedule: Literal["onecycle", "constant"] = Field(
        default="onecycle", description="of the learning rate; onecycle rises and falls once"
    )
    gradient_clip: float = Field(
        default=5.0, ge=0, description="largest L2 norm of a batch's gradient; 0: no limit"
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="share of the label spread over all classes"
    )
    augment: Augmentation = Field(
        default="none", description="of images: shifts, or shifts and mirror images"
    )
    cutout: Fraction = Field(
        default=0.0, ge=0, lt=1, description="side of the blanked square, as a share of the image's"
    )
    mixup: float = Field(default=0.0, ge=0, description="α of mixup's Beta(α, α); 0: off")
    average: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="decay of the moving average of weights to keep; 0: the last ones",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="of the arithmetic; auto: bf16 where the device is quick at it"
    )
    channels_last: bool | None = Field(
        default=None, description="memory layout of images; default: by device"
    )
    compile: bool = Field(default=False, description="torch.compile the model; needs a C++ compiler")
    deterministic: bool = Field(
        default=False, description="only algorithms that repeat exactly on a GPU; a CPU repeats anyway"
    )
    train_limit: int | None = Field(default=None, ge=1, description="use only the first N training examples")
    adversary: Adversary | None = Field(default=None, description="the attack inside training")
    privacy: PrivacyBudget | None = Field(default=None, description="what DP-SGD may spend")
    fairness: Mitigation | None = Field(default=None, description="what is done about groups")

    @model_validator(mode="after")
    def _parts_match_kind(self) -> Recipe:
        if self.kind == "adversarial" and self.adversary is None:
            raise ValueError("kind: adversarial needs `adversary`")
        if self.adversary is not None and self.kind not in ("adversarial", "private"):
            raise ValueError("`adversary` belongs to kind: adversarial (or private)")
        if self.kind == "private" and self.adversary is not None and not self.adversary.moves_only:
            raise ValueError(
                "private training moves each example before its gradient is taken: `adversary` may have "
                "objective: pgd or fast, no `gradalign` and no `weight_perturbation`"
            )
        if (self.kind == "private") != (self.privacy is not None):
            raise ValueError("`privacy` belongs to, and is required by, kind: private")
        if (self.kind == "fair") != (self.fairness is not None):
            raise ValueError("`fairness` belongs to, and is required by, kind: fair")
        if self.mixup and self.kind != "standard":
            raise ValueError(f"`mixup` blends examples, which kind: {self.kind} treats one by one")
        return self

    def digest(self) -> str:
        """Sha256 (hex) of the canonical JSON form. What stands at its default is left out, so that a new
        option leaves old recipes what they were.
        """
        text = json.dumps(self.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def require_attribute(attribute: str, columns: Collection[str]) -> None:
    """Raise `UnknownNameError`, with the group columns there are, when `attribute` is none of them."""
    if attribute not in columns:
        raise UnknownNameError("group column", attribute, columns, where="recipe.fairness.attribute")


def training_key(recipe: Recipe, *, data_digest: str, seed: int) -> str:
    """Sha256 (hex) of everything that decides the weights: the identity of a model before it is trained."""
    parts = [recipe.digest(), data_digest, seed, TRAINING_VERSION]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
