"""bf16 autocast where it helps, decided by a rule so that a resumed run computes the same numbers.

On CUDA with bf16 it helps every model but the smallest. On a CPU only the AMX tile unit makes it
worth while, and only for convolutions on images of 28×28 and more: measured on ResNet-18, width 64,
64×3×32×32 forward and input-backward, 630 ms in float32 and 191 ms in bf16; on 8×8 digits the casts
cost more than they save.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from raiaudit.models.architectures.classifier import Classifier

__all__ = ["autocast", "helps"]

_SMALLEST_IMAGE = 28
_FEWEST_PARAMETERS = 100_000


def helps(classifier: Classifier, device: torch.device) -> bool:
    """Whether to train in bf16: a function of the device's kind and the model's size alone."""
    if device.type == "cuda":
        size = sum(parameter.numel() for parameter in classifier.parameters())
        return torch.cuda.is_bf16_supported() and size >= _FEWEST_PARAMETERS
    convolves = any(isinstance(module, nn.Conv2d) for module in classifier.modules())
    side = classifier.config["shape"][-1] if convolves else 0
    return side >= _SMALLEST_IMAGE and torch.cpu._is_amx_tile_supported()


def autocast(device: torch.device, enabled: bool) -> AbstractContextManager[None]:
    """Autocast to bf16 on `device`, or nothing."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
