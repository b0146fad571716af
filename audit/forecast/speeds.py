"""How long one example takes an architecture, and from that how long work takes: a range, not a promise.

Measured by benchmarks/forecast_speeds.py; scaled in proportion to the pixels from the nearest size that was
measured. A GPU is not looked at. What real runs took in units of these estimates is in docs/measurements.md;
`SPREAD` covers most of what was seen there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from raiaudit.audit.forecast.work import Situation, Work
    from raiaudit.models.recipe import Recipe

__all__ = ["BASIS", "SPREAD", "USUAL", "Speed", "seconds_of", "speed_of", "training_seconds"]

SPREAD = 2.5
"""The range is the estimate divided and multiplied by this."""

BASIS = (
    "examples asked × time of one on one core of an AMD EPYC (Zen 3, AVX2), measured for each architecture "
    "with nothing else running; a GPU is not counted on"
)

Speed = tuple[float, float]
"""Microseconds of an example: (forward, forward with backward)."""

_TABLE: dict[str, dict[int, Speed]] = {
    "alexnet": {1024: (6180.0, 18800.0), 50176: (28800.0, 170000.0)},
    "cnn": {1024: (284.0, 567.0), 64: (48.4, 160.0), 784: (198.0, 475.0)},
    "efficientnet_b0": {1024: (16500.0, 34900.0), 50176: (30400.0, 122000.0)},
    "ft_transformer": {1: (49.9, 205.0)},
    "lstm": {0: (447.0, 1420.0)},
    "mlp": {1024: (35.5, 74.3), 64: (2.5, 29.7), 784: (4.8, 25.5), 1: (2.4, 18.3)},
    "nfnet_f0": {1024: (115000.0, 301000.0)},
    "preact_resnet18": {1024: (15200.0, 50600.0)},
    "resnet18": {1024: (14800.0, 50400.0), 50176: (754000.0, 2280000.0)},
    "resnet50": {1024: (50100.0, 133000.0), 50176: (137000.0, 451000.0)},
    "strided_cnn": {1024: (45.6, 262.0), 64: (7.2, 75.9), 784: (32.9, 217.0)},
    "tempered_cnn": {1024: (192.0, 454.0)},
    "text_transformer": {0: (396.0, 1180.0)},
    "vgg16": {1024: (9260.0, 32900.0), 50176: (416000.0, 1460000.0)},
    "vit_b16": {1024: (155000.0, 618000.0), 50176: (446000.0, 1430000.0)},
    "vit_s16": {1024: (35100.0, 110000.0), 50176: (135000.0, 399000.0)},
    "vit_ti16": {1024: (13000.0, 32600.0), 50176: (40800.0, 128000.0)},
    "vit_tiny": {1024: (816.0, 2380.0), 64: (200.0, 716.0), 784: (675.0, 1920.0)},
    "wide_resnet28_10": {1024: (133000.0, 477000.0)},
}
"""Architecture → pixels of an image (0: a text of 64 tokens, 1: a table's row) → speed."""

_UNKNOWN: Speed = (2000.0, 6000.0)

USUAL: dict[str, dict[str, int]] = {
    "cnn": {"width": 16},
    "ft_transformer": {"width": 32, "depth": 2},
    "lstm": {"width": 64, "depth": 1},
    "strided_cnn": {"width": 16},
    "tempered_cnn": {"width": 16},
    "text_transformer": {"width": 64, "depth": 2},
    "vit_tiny": {"width": 64, "depth": 4},
}
"""Architecture → option that makes it larger → its default, which is what was measured."""

_STEP = 2e-3  # seconds of a training step beside the gradients: the optimiser, the next batch


def speed_of(
    architecture: str | None, pixels: int, modality: str, options: Mapping[str, Any] | None = None
) -> Speed:
    """The speed of an architecture on such inputs; of one that is not known, that of a middling network."""
    return _scaled(_usual_speed(architecture, pixels, modality), _size(architecture, options or {}))


def _size(architecture: str | None, options: Mapping[str, Any]) -> float:
    """How much larger than usual a network is: in proportion to its width and to its depth."""
    factor = 0.4 if options.get("downsample") == "stride" else 1.0
    for name, usual in USUAL.get(architecture or "", {}).items():
        given = options.get(name)
        if isinstance(given, int | float) and given > 0:
            factor *= given / usual
    return factor


def _usual_speed(architecture: str | None, pixels: int, modality: str) -> Speed:
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
    steps = recipe.epochs * -(-rows // recipe.batch_size)
    return recipe.epochs * rows * times * speed[1] * 1e-6 + steps * _STEP


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
