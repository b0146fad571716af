"""Blur by a lens (arXiv:1903.12261); nothing here is random.

Shapes: x_BCHW float in [0, 1]; lengths in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from raiaudit.attacks.corruptions.separable import filtered, gaussian_blurred, weighted_matrix, zoom_matrix
from raiaudit.attacks.corruptions.severities import Severities

__all__ = [
    "DEFOCUS_BLUR",
    "GAUSSIAN_BLUR",
    "ZOOM_BLUR",
    "defocus_blur",
    "disk",
    "gaussian_blur",
    "zoom_blur",
]

GAUSSIAN_BLUR = Severities(small=(0.4, 0.6, 0.7, 0.8, 1.0), large=(1.0, 2.0, 3.0, 4.0, 6.0))
"""Standard deviation."""

DEFOCUS_BLUR = Severities(
    small=((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1)),
    large=((3.0, 0.1), (4.0, 0.5), (6.0, 0.5), (8.0, 0.5), (10.0, 0.5)),
)
"""Radius of the disk, and the standard deviation that softens its edge."""

ZOOM_BLUR = Severities(
    small=((6, 0.01), (11, 0.01), (16, 0.01), (21, 0.01), (26, 0.01)),
    large=((11, 0.01), (16, 0.01), (11, 0.02), (13, 0.02), (11, 0.03)),
)
"""How many magnifications are averaged, from 1 on, and the step between them."""

_NO_PART = 1e-9  # of an eigenvalue: the largest is at least 0.05


def gaussian_blur(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """Convolution with a normal density; outside the image its border value goes on."""
    return gaussian_blurred(x_BCHW, GAUSSIAN_BLUR.of(x_BCHW, severity)).clamp_(0, 1)


def defocus_blur(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """Convolution with a disk; the image is mirrored at its border.

    A symmetric kernel is the sum of its eigenvectors' outer products, each a filter of rows and columns; a
    disk has few, since many rows of it are alike.
    """
    kernel_KK = disk(*DEFOCUS_BLUR.of(x_BCHW, severity))
    height, width = x_BCHW.shape[-2:]
    values_K, vectors_KK = torch.linalg.eigh(kernel_KK)
    total = torch.zeros_like(x_BCHW)
    for value, weight_K in zip(values_K.tolist(), vectors_KK.unbind(1), strict=True):
        if abs(value) > _NO_PART:
            rows_HH = value * weighted_matrix(height, weight_K, "mirror")
            total += filtered(x_BCHW, rows_HH, weighted_matrix(width, weight_K, "mirror"))
    return total.clamp_(0, 1)


@cache
def disk(radius: float, soft: float) -> Tensor:
    """K×K weights that sum to 1 (float64): a disk, its edge softened by 3×3 taps, 5×5 beyond radius 8."""
    taps = 1 if radius <= 8 else 2
    line = torch.arange(-int(radius) - taps, int(radius) + taps + 1)
    hard = ((line[:, None] ** 2 + line**2) <= radius**2).double()
    offset = line[:, None] - line
    blur = torch.exp(-0.5 * (offset.double() / soft) ** 2) * (offset.abs() <= taps)
    kernel = blur @ hard @ blur.T
    return kernel / kernel.sum()


def zoom_blur(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """The mean of the image and of its magnifications, as when the camera moves towards the scene.

    The authors round each magnified image to whole pixels, which shifts it by up to one; here its middle
    stays.
    """
    count, step = ZOOM_BLUR.of(x_BCHW, severity)
    height, width = x_BCHW.shape[-2:]
    total = x_BCHW.clone()
    for index in range(count):
        factor = 1 + step * index
        total += filtered(x_BCHW, zoom_matrix(height, factor), zoom_matrix(width, factor))
    return total.div_(count + 1).clamp_(0, 1)
