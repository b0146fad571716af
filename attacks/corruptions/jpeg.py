"""JPEG compression as matrix products (ITU-T T.81; arXiv:1903.12261), in the steps of libjpeg.

Colours go to YCbCr, chroma is halved in both directions (4:2:0), blocks of 8×8 pass a cosine transform and
are rounded to multiples of the standard tables scaled by quality, and all of it is undone, with libjpeg's
smooth ("fancy") enlargement of chroma. A block is a row of 64 numbers and the two-dimensional transform one
64×64 matrix. Entropy coding loses nothing and is left out. Other than three channels are compressed each as
a grey image.

Shapes: x_BCHW float in [0, 1], rounded to 8 bits first as a file demands; planes P×H×W in 0…255. Nothing is
random.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks.corruptions.severities import Severities

__all__ = ["CHROMINANCE", "JPEG_COMPRESSION", "LUMINANCE", "compressed", "jpeg_compression", "quantisation"]

JPEG_COMPRESSION = Severities(small=(80, 65, 58, 50, 40), large=(25, 18, 15, 10, 7))
"""Quality on libjpeg's scale of 1 to 100."""

LUMINANCE = """
16 11 10 16  24  40  51  61   12 12 14 19  26  58  60  55
14 13 16 24  40  57  69  56   14 17 22 29  51  87  80  62
18 22 37 56  68 109 103  77   24 35 55 64  81 104 113  92
49 64 78 87 103 121 120 101   72 92 95 98 112 100 103  99
"""
CHROMINANCE = """
17 18 24 47 99 99 99 99   18 21 26 66 99 99 99 99
24 26 56 99 99 99 99 99   47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99   99 99 99 99 99 99 99 99
99 99 99 99 99 99 99 99   99 99 99 99 99 99 99 99
"""
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))


def jpeg_compression(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """The image after a JPEG file of the severity's quality."""
    return compressed(x_BCHW, JPEG_COMPRESSION.of(x_BCHW, severity))


def compressed(x_BCHW: Tensor, quality: int) -> Tensor:
    """The image as read back from a baseline JPEG file of `quality` 1 to 100."""
    levels = (x_BCHW * 255).round_()
    if x_BCHW.shape[1] != 3:
        grey = _coded(levels.flatten(0, 1), quantisation(LUMINANCE, quality))
        return grey.view_as(x_BCHW).div_(255)
    height, width = x_BCHW.shape[-2:]
    ycc_B3HW = _mixed(levels, _TO_YCC)
    luma_BHW = _coded(ycc_B3HW[:, 0].round_(), quantisation(LUMINANCE, quality))
    chroma_PHW = (ycc_B3HW[:, 1:] + 128).round_().flatten(0, 1)
    small_Phw = _coded(_halved(chroma_PHW), quantisation(CHROMINANCE, quality))
    small_Phw = small_Phw[:, : (height + 1) // 2, : (width + 1) // 2]
    blue_BHW, red_BHW = (_doubled(small_Phw)[:, :height, :width] - 128).view(-1, 2, height, width).unbind(1)
    rgb = (
        luma_BHW + 1.402 * red_BHW,
        luma_BHW - 0.344136286 * blue_BHW - 0.714136286 * red_BHW,
        luma_BHW + 1.772 * blue_BHW,
    )
    return torch.stack(rgb, dim=1).round_().clamp_(0, 255).div_(255)


def _mixed(x_B3HW: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", x_B3HW.new_tensor(matrix), x_B3HW)


@cache
def quantisation(table: str, quality: int) -> Tensor:
    """64 steps: the standard table, scaled by libjpeg's rule."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    standard = torch.tensor([int(step) for step in table.split()])
    return ((standard * percent + 50) // 100).clamp(1, 255).double()


@cache
def _cosines() -> Tensor:
    """64×64: row u·8+v is the cosine of frequency (u, v) over a block (float64, orthonormal)."""
    index = torch.arange(8, dtype=torch.float64)
    line = torch.cos((2 * index + 1) * index[:, None] * math.pi / 16) / 2
    line[0] /= math.sqrt(2)
    return torch.kron(line, line)


def _coded(plane_PHW: Tensor, steps_64: Tensor) -> Tensor:
    """The plane after transform, rounding to the steps, and back; borders are repeated to whole blocks."""
    height, width = plane_PHW.shape[-2:]
    padded = functional.pad(plane_PHW[:, None], (0, -width % 8, 0, -height % 8), "replicate")[:, 0] - 128
    down, across = padded.shape[1] // 8, padded.shape[2] // 8
    blocks = padded.reshape(-1, down, 8, across, 8).transpose(2, 3).reshape(-1, 64)
    cosines, steps = _cosines().to(padded), steps_64.to(padded)
    # libjpeg's transform works in eighths, and its division rounds halves away from zero: both decide which
    # way a number between two steps goes.
    scaled = (8 * (blocks @ cosines.T)).round_() / (8 * steps)
    whole = (scaled.abs() + 0.5).floor_().copysign_(scaled)
    decoded = ((whole * steps) @ cosines + 128).round_().clamp_(0, 255)
    restored = decoded.view(-1, down, across, 8, 8).transpose(2, 3).reshape(-1, 8 * down, 8 * across)
    return restored[:, :height, :width]


def _halved(plane_PHW: Tensor) -> Tensor:
    """Means of 2×2, rounded up and down by turns along a row, so that no shade drifts."""
    height, width = plane_PHW.shape[-2:]
    even = functional.pad(plane_PHW[:, None], (0, -width % 16, 0, height % 2), "replicate")[:, 0]
    total = even[:, ::2] + even[:, 1::2]
    total = total[..., ::2] + total[..., 1::2]
    bias = 1 + torch.arange(total.shape[2], device=total.device) % 2
    return ((total + bias) / 4).floor_()


def _doubled(plane_Phw: Tensor) -> Tensor:
    """Twice the size: each value is 3 parts the nearest and 1 part the next, in either direction."""
    rows = _three_to_one(plane_Phw, 1)
    both = _three_to_one(rows, 2)
    bias = 8 - torch.arange(both.shape[2], device=both.device) % 2
    return ((both + bias) / 16).floor_()


def _three_to_one(plane: Tensor, dim: int) -> Tensor:
    size = plane.shape[dim]
    index = torch.arange(size, device=plane.device)
    before = plane.index_select(dim, (index - 1).clamp(min=0))
    after = plane.index_select(dim, (index + 1).clamp(max=size - 1))
    return torch.stack([3 * plane + before, 3 * plane + after], dim=dim + 1).flatten(dim, dim + 1)
