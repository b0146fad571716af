"""Precision and memory layout, decided by rules so that a resumed run computes the same numbers.

On CUDA with bf16 it helps every model but the smallest. On a CPU only the AMX tile unit makes it
worth while, and only for convolutions on images of 28×28 and more: measured on ResNet-18, width 64,
64×3×32×32 forward and input-backward, 630 ms in float32 and 191 ms in bf16; on 8×8 digits the casts
cost more than they save.

Convolutions run faster with channels last: training steps of ResNet-18 (width 16, 128×1×28×28) took 540 ms
with channels first and 372 ms with channels last, on one core without AMX.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.recipe import Recipe

__all__ = ["autocast", "channels_last", "helps", "in_bf16"]

_SMALLEST_IMAGE = 28
_FEWEST_PARAMETERS = 100_000
_SAFE_CHANNELS = 8


def helps(classifier: Classifier, device: torch.device) -> bool:
    """Whether to train in bf16: a function of the device's kind and the model's size alone."""
    if device.type == "cuda":
        size = sum(parameter.numel() for parameter in classifier.parameters())
        return torch.cuda.is_bf16_supported() and size >= _FEWEST_PARAMETERS
    side = classifier.config["shape"][-1] if _convolves(classifier) else 0
    return side >= _SMALLEST_IMAGE and torch.cpu._is_amx_tile_supported()


def in_bf16(classifier: Classifier, recipe: Recipe, device: torch.device) -> bool:
    """What the recipe says, or the rule; private gradients are always float32."""
    if recipe.kind == "private":
        return False
    return helps(classifier, device) if recipe.precision == "auto" else recipe.precision == "bf16"


def channels_last(classifier: Classifier, recipe: Recipe) -> bool:
    """What the recipe says, or: for what convolves, unless per-example gradients are taken.

    Never where it would corrupt memory: on the CPU, torch 2.13 writes beyond the weight gradient of a
    strided 1×1 convolution of few channels in this layout.
    """
    wanted = recipe.kind != "private" if recipe.channels_last is None else recipe.channels_last
    return wanted and _convolves(classifier) and not any(map(_overruns, classifier.modules()))


def _overruns(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and module.in_channels < _SAFE_CHANNELS
    )


def _convolves(classifier: nn.Module) -> bool:
    return any(isinstance(module, nn.Conv2d) for module in classifier.modules())


def autocast(device: torch.device, enabled: bool) -> AbstractContextManager[None]:
    """Autocast to bf16 on `device`, or nothing."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
