"""Blur (arXiv:1903.12261). Shapes: x_BCHW float in [0, 1]; widths in pixels.

A separable blur is one small matrix for rows and one for columns, borders included; a batch of any size is
then two matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from raiaudit.attacks.corruptions.severities import Severities

__all__ = ["GAUSSIAN_BLUR", "gaussian_blur"]

GAUSSIAN_BLUR = Severities(small=(0.4, 0.6, 0.7, 0.8, 1.0), large=(1.0, 2.0, 3.0, 4.0, 6.0))
"""Standard deviation in pixels."""

_TRUNCATE = 4.0  # the kernel ends after this many standard deviations, as in the authors' code


def gaussian_blur(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """Convolution with a normal density; outside the image its border value goes on. Nothing is random."""
    sigma = GAUSSIAN_BLUR.of(x_BCHW, severity)
    height, width = x_BCHW.shape[-2:]
    rows_HH, columns_WW = _blur_matrix(height, sigma).to(x_BCHW), _blur_matrix(width, sigma).to(x_BCHW)
    return (rows_HH @ x_BCHW @ columns_WW.T).clamp_(0, 1)


def _blur_matrix(size: int, sigma: float) -> Tensor:
    """Row i holds the weights with which pixel i of a line of `size` pixels is mixed (float64)."""
    radius = int(_TRUNCATE * sigma + 0.5)
    offset_R = torch.arange(-radius, radius + 1)
    weight_R = torch.exp(-0.5 * (offset_R.double() / sigma) ** 2)
    weight_R /= weight_R.sum()
    source_SR = (torch.arange(size)[:, None] + offset_R).clamp(0, size - 1)
    return torch.zeros(size, size, dtype=torch.float64).scatter_add_(1, source_SR, weight_R.repeat(size, 1))
