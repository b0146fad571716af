"""How long one example takes an architecture, and from that how long work takes: a range, not a promise.

Measured by benchmarks/forecast_speeds.py; scaled in proportion to the pixels from the nearest size that was
measured. Options that widen or deepen a network are not looked at, nor is a GPU. What real runs took in units
of these estimates is in docs/measurements.md; `SPREAD` covers what was seen there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raiaudit.audit.forecast.work import Situation, Work
    from raiaudit.models.recipe import Recipe

__all__ = ["BASIS", "SPREAD", "Speed", "seconds_of", "speed_of", "training_seconds"]

SPREAD = 2.5
"""The range is the estimate divided and multiplied by this."""

BASIS = (
    "examples asked × time of one on one core of an AMD EPYC (Zen 3, AVX2), measured for each architecture "
    "at its default size; a GPU is not counted on"
)

Speed = tuple[float, float]
"""Microseconds of an example: (forward, forward with backward)."""

_TABLE: dict[str, dict[int, Speed]] = {
    "alexnet": {1024: (12179.9, 30662.1), 50176: (39908.6, 174255.2)},
    "cnn": {1024: (470.9, 518.5), 64: (53.5, 148.1), 784: (375.9, 573.3)},
    "efficientnet_b0": {1024: (26871.6, 73495.0), 50176: (75563.9, 133482.7)},
    "nfnet_f0": {1024: (219679.8, 315469.2)},
    "preact_resnet18": {1024: (14074.0, 45480.6)},
    "resnet18": {1024: (16382.5, 48991.9)},
    "text_transformer": {0: (400, 1500)},
    "mlp": {1: (2, 10)},
}
"""Architecture → pixels of an image (0: a text of 64 tokens, 1: a table's row) → speed."""

_UNKNOWN: Speed = (2000.0, 6000.0)


def speed_of(architecture: str | None, pixels: int, modality: str) -> Speed:
    """The speed of an architecture on such inputs; of one that is not known, that of a middling network."""
    measured = _TABLE.get(architecture or "")
    if modality != "image":
        size = 0 if modality == "text" else 1
        fallback = _TABLE["text_transformer" if size == 0 else "mlp"][size]
        return (measured or {}).get(size, fallback)
    images = {size: speed for size, speed in (measured or {}).items() if size > 1}
    if not images:
        return _scaled(_UNKNOWN, pixels / 1024)
    nearest = min(images, key=lambda size: abs(math.log(size / max(1, pixels))))
    return _scaled(images[nearest], pixels / nearest)


def training_seconds(recipe: Recipe, at: Situation, speed: Speed) -> float:
    """One training of the recipe: every epoch a gradient of every row, or several where its step asks so."""
    rows = at.sizes["train"] if recipe.train_limit is None else min(at.sizes["train"], recipe.train_limit)
    times = 1.0
    if recipe.adversary is not None:
        steps = 1 if recipe.adversary.objective == "fast" else recipe.adversary.steps
        times = steps + 1.0 + (recipe.adversary.objective in ("trades", "mart"))
    if recipe.privacy is not None:
        times = 1.5 * times * recipe.privacy.augmentations
    if recipe.fairness is not None:
        times *= 1.2
    return recipe.epochs * rows * times * speed[1] * 1e-6


def seconds_of(work: Work, speed: Speed, *, training: float) -> float:
    """Seconds of the work on one core."""
    return (
        work.forwards * speed[0] * 1e-6
        + work.gradients * speed[1] * 1e-6
        + work.trainings * training
        + work.seconds
    )


def _scaled(speed: Speed, factor: float) -> Speed:
    return speed[0] * factor, speed[1] * factor
