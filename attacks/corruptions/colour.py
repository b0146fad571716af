"""Light and colour (arXiv:1903.12261), in closed form on hue, saturation and value.

Value is the largest channel, saturation the distance of the smallest from it, relative to it; what scales
one of the two and leaves hue alone needs no hue. Nothing here is random. Shapes: x_BCHW float in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from raiaudit.attacks.corruptions.severities import Severities
from raiaudit.errors import UsageError

__all__ = ["BRIGHTNESS", "CONTRAST", "SATURATE", "brightness", "contrast", "luma", "saturate", "tinted"]

BRIGHTNESS = Severities(small=(0.05, 0.10, 0.15, 0.20, 0.30), large=(0.1, 0.2, 0.3, 0.4, 0.5))
"""Added to the value."""

CONTRAST = Severities(small=(0.75, 0.50, 0.40, 0.30, 0.15), large=(0.40, 0.30, 0.20, 0.10, 0.05))
"""What is left of the distance from a channel's mean."""

SATURATE = Severities(
    small=((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2)),
    large=((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2)),
)
"""Saturation s becomes a·s + b: less of it at severities 1 and 2, more from 3 on."""

_LUMA = (0.299, 0.587, 0.114)


def brightness(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """More value at the same hue and saturation; black turns grey."""
    added = BRIGHTNESS.of(x_BCHW, severity)
    value_B1HW = x_BCHW.amax(1, keepdim=True)
    brighter_B1HW = (value_B1HW + added).clamp_(max=1)
    return torch.where(value_B1HW > 0, x_BCHW * (brighter_B1HW / value_B1HW), added).clamp_(0, 1)


def contrast(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """Each channel of each image moves towards its mean."""
    kept = CONTRAST.of(x_BCHW, severity)
    mean_BC11 = x_BCHW.mean((2, 3), keepdim=True)
    return mean_BC11.lerp(x_BCHW, kept).clamp_(0, 1)


def saturate(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """Paler or stronger colours. Grey has hue 0 and turns reddish where b > 0, as in the authors' code.

    One channel has no colour and stays as it is; `UsageError` for channels that are not 1 or 3.
    """
    factor, added = SATURATE.of(x_BCHW, severity)
    channels = x_BCHW.shape[1]
    if channels == 1:
        return x_BCHW.clone()
    if channels != 3:
        raise UsageError(
            f"saturate changes colours: it takes images of 1 or 3 channels, got {channels}",
            remedy="leave saturate out for these images",
        )
    value_B1HW = x_BCHW.amax(1, keepdim=True)
    spread_B1HW = value_B1HW - x_BCHW.amin(1, keepdim=True)
    wanted_B1HW = (factor * spread_B1HW / value_B1HW.clamp(min=1e-12) + added).clamp_(0, 1) * value_B1HW
    towards_BCHW = (value_B1HW - x_BCHW) / spread_B1HW.clamp(min=1e-12)
    red_C11 = x_BCHW.new_tensor([0.0, 1.0, 1.0])[:, None, None]
    towards_BCHW = torch.where(spread_B1HW > 0, towards_BCHW, red_C11)
    return (value_B1HW - wanted_B1HW * towards_BCHW).clamp_(0, 1)


def luma(x_BCHW: Tensor) -> Tensor:
    """B×1×H×W: grey by ITU-R BT.601 for three channels, else the mean of the channels."""
    if x_BCHW.shape[1] == 3:
        return (x_BCHW * x_BCHW.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
    return x_BCHW.mean(1, keepdim=True)


def tinted(colour: tuple[float, float, float], x_BCHW: Tensor) -> Tensor:
    """A colour as C×1×1 for these images: as it is for three channels, else its grey."""
    if x_BCHW.shape[1] == 3:
        return x_BCHW.new_tensor(colour)[:, None, None]
    return luma(x_BCHW.new_tensor(colour)[None, :, None, None])[0]
