"""A trained model and the record of how it came to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from raiaudit.models.names import BLACK_BOXES, PREDICTIONS
from raiaudit.models.recipe import Recipe

if TYPE_CHECKING:
    from raiaudit.models.architectures.classifier import Classifier

__all__ = ["LoadRecord", "ModelVersion", "PrivacyRecord", "TrainingRecord"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PrivacyRecord(_Frozen):
    """What an accountant needs, and what it said.

    `sample_rate` is the Poisson inclusion probability q, `noise_multiplier` σ in units of `clip`,
    `steps` the optimiser steps taken. `epsilon_pld` is dp-accounting's privacy-loss-distribution
    bound, `epsilon_prv` Opacus' PRV accountant as a cross-check. `certified` is false when an
    assumption (Poisson sampling, per-example clipping, a public divisor) was not met; `why` says which.
    `gradients` is how per-example gradients were computed: vmap or hooks. `steps_taken`, `batch_mean` and
    `batch_variance` (of the batch sizes) were counted while training; None where an older release trained.
    """

    sample_rate: float
    noise_multiplier: float
    steps: int
    clip: float
    delta: float
    epsilon_pld: float
    epsilon_prv: float | None
    target_epsilon: float
    poisson_sampling: bool
    public_divisor: float
    max_clipped_norm: float
    gradients: str = "vmap"
    steps_taken: int | None = None
    batch_mean: float | None = None
    batch_variance: float | None = None
    certified: bool
    why: str = ""


class LoadRecord(_Frozen):
    """How a model from outside was loaded; `unsafe` where its file could have run code.

    `form` is in words ("an ONNX graph"); `limits` are sentences for people: what the way of loading keeps an
    audit from seeing.
    """

    form: str
    unsafe: bool = False
    limits: tuple[str, ...] = ()


class TrainingRecord(_Frozen):
    """Lineage of a model version: what was trained, on what, with which seed and code, and how it did."""

    architecture: str
    config: dict[str, Any]
    data_name: str | None = None
    data_digest: str | None = None
    data_source: str = ""
    data_licence: str = ""
    classes: tuple[str, ...] = ()
    recipe: Recipe | None = None
    seed: int | None = None
    code_version: str
    metrics: dict[str, float] = {}
    privacy: PrivacyRecord | None = None
    parameters: int
    weights_digest: str
    seconds: float | None = None
    device: str | None = None
    loaded: LoadRecord | None = None

    @property
    def is_black_box(self) -> bool:
        """Whether the model could only be asked: `weights_digest` is then a fingerprint of its answers."""
        return self.architecture in BLACK_BOXES

    @property
    def is_predictions(self) -> bool:
        """Whether no model was seen, but a file of predictions: `weights_digest` is then that of the file."""
        return self.architecture == PREDICTIONS


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A classifier with its name, its version in the registry (0: not registered) and its record."""

    name: str
    version: int
    classifier: Classifier
    record: TrainingRecord
