"""Filters that act on rows and columns apart: one small matrix for each, borders included (all float64).

A batch of any size is then two matrix products. A matrix is S×S: its row i holds the weights with which the
pixels of a line of S are mixed into pixel i.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
from torch import Tensor

__all__ = [
    "box_resized",
    "filtered",
    "gaussian_blurred",
    "gaussian_matrix",
    "inside",
    "weighted_matrix",
    "zoom_matrix",
]

Border = Literal["nearest", "symmetric", "mirror"]


def filtered(x_bHW: Tensor, rows_HH: Tensor, columns_WW: Tensor) -> Tensor:
    """Rows and columns of images of any leading shape through their matrices."""
    return rows_HH.to(x_bHW) @ x_bHW @ columns_WW.to(x_bHW).T


def inside(position: Tensor, size: int, border: Border) -> Tensor:
    """Where a pixel index beyond the border of a line of `size` pixels is read (whole numbers).

    "nearest" repeats the last pixel (aaa|abcd|ddd), "symmetric" reflects with it (cba|abcd|dcb) and "mirror"
    around it (dcb|abcd|cba).
    """
    if border == "nearest" or size == 1:
        return position.clamp(0, size - 1)
    if border == "symmetric":
        folded = position.remainder(2 * size)
        return torch.minimum(folded, 2 * size - 1 - folded)
    folded = position.remainder(2 * size - 2)
    return torch.minimum(folded, 2 * size - 2 - folded)


def gaussian_blurred(x_bHW: Tensor, sigma: float) -> Tensor:
    """Convolution with a normal density; outside the image its border value goes on."""
    height, width = x_bHW.shape[-2:]
    return filtered(x_bHW, gaussian_matrix(height, sigma), gaussian_matrix(width, sigma))


@cache
def gaussian_matrix(size: int, sigma: float, border: Border = "nearest", truncate: float = 4.0) -> Tensor:
    """A normal density of `sigma` pixels, cut off after `truncate` of them."""
    radius = int(truncate * sigma + 0.5)
    weight_R = torch.exp(-0.5 * (torch.arange(-radius, radius + 1).double() / sigma) ** 2)
    return weighted_matrix(size, weight_R / weight_R.sum(), border)


def weighted_matrix(size: int, weight_R: Tensor, border: Border) -> Tensor:
    """Correlation with an odd number of weights, the middle one on the pixel itself."""
    radius = len(weight_R) // 2
    source_SR = inside(torch.arange(size)[:, None] + torch.arange(-radius, radius + 1), size, border)
    return torch.zeros(size, size, dtype=torch.float64).scatter_add_(1, source_SR, weight_R.repeat(size, 1))


@cache
def zoom_matrix(size: int, factor: float) -> Tensor:
    """Magnify a line about its middle by `factor` ≥ 1, linearly; what leaves the line is cut off."""
    middle = (size - 1) / 2
    place_S = middle + (torch.arange(size, dtype=torch.float64) - middle) / factor
    left_S = place_S.floor().long()
    share_S = place_S - left_S
    right_S = (left_S + 1).clamp(max=size - 1)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    matrix.scatter_add_(1, left_S[:, None], (1 - share_S)[:, None])
    return matrix.scatter_add_(1, right_S[:, None], share_S[:, None])


@cache
def box_resized(size: int, cells: int) -> Tensor:
    """Shrink a line to `cells` means and spread it to `size` again, by Pillow's box filter both times."""
    return _box(cells, size) @ _box(size, cells)


def _box(size: int, cells: int) -> Tensor:
    """cells×size: each cell is the plain mean of the pixels whose middle lies in it, at least of one."""
    pixel_S, cell_C1 = 2 * torch.arange(size) + 1, 2 * torch.arange(cells)[:, None] + 1
    apart_CS = pixel_S * cells - cell_C1 * size  # in whole numbers, so that a middle on an edge has one cell
    reach = max(size, cells)
    held_CS = ((apart_CS > -reach) & (apart_CS <= reach)).double()
    return held_CS / held_CS.sum(1, keepdim=True)
