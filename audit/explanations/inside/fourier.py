"""Images as Fourier coefficients, seen through small random moves.

Ascent on pixels finds noise that a network happens to like. Coefficients scaled by 1/frequency (the spectrum
of natural images) make all frequencies equally easy to reach, and a picture must please while it is turned,
scaled and jittered (Olah, Mordvintsev, Schubert 2017, doi:10.23915/distill.00007).

Shapes: B images C×H×W, F = W//2 + 1 frequencies; coefficients_BCHF2 real and imaginary parts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["coefficient_shape", "image_of", "moved", "moves"]

_TURN = math.radians(5)
_SCALE = 0.05
_JITTER = 1 / 16  # of a side, and a pixel at least


def coefficient_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """C, H, F, 2 for images C×H×W."""
    channels, height, width = shape
    return channels, height, width // 2 + 1, 2


def image_of(coefficients_BCHF2: Tensor, width: int) -> Tensor:
    """x_BCHW, unbounded; standard normal coefficients give a power spectrum ∝ 1/f² and values of about 1."""
    import torch

    height = coefficients_BCHF2.shape[2]
    device = coefficients_BCHF2.device
    down_H = torch.fft.fftfreq(height, device=device)
    across_F = torch.fft.rfftfreq(width, device=device)
    frequency_HF = (down_H[:, None] ** 2 + across_F**2).sqrt()
    # The mean has no frequency; it moves as easily as the slowest wave.
    scale_HF = 1 / frequency_HF.clamp_min(1 / max(height, width))
    scale_HF = scale_HF / (2 * scale_HF.square()).mean().sqrt()
    waves_BCHF = torch.view_as_complex(coefficients_BCHF2.contiguous()) * scale_HF
    x_BCHW: Tensor = torch.fft.irfft2(waves_BCHF, s=(height, width), norm="ortho")
    return x_BCHW


def moves(unit_B4: Tensor, height: int, width: int) -> Tensor:
    """Numbers in [-1, 1] as affine maps_B23: turn, scale, jitter down and across."""
    import torch

    turn_B, scale_B = unit_B4[:, 0] * _TURN, 1 + unit_B4[:, 1] * _SCALE
    # In the coordinates of a grid, a side is 2 long.
    down_B = unit_B4[:, 2] * 2 * max(_JITTER, 1 / height)
    across_B = unit_B4[:, 3] * 2 * max(_JITTER, 1 / width)
    cos_B, sin_B = turn_B.cos() * scale_B, turn_B.sin() * scale_B
    return torch.stack(
        [torch.stack([cos_B, -sin_B, across_B], 1), torch.stack([sin_B, cos_B, down_B], 1)], dim=1
    )


def moved(x_BCHW: Tensor, maps_B23: Tensor) -> Tensor:
    """Each image under its own map; what comes in from outside is mirrored."""
    from torch.nn import functional

    grid = functional.affine_grid(maps_B23, list(x_BCHW.shape), align_corners=False)
    return functional.grid_sample(x_BCHW, grid, padding_mode="reflection", align_corners=False)
