"""Where pixels are: stretched like rubber, or merged into blocks (arXiv:1903.12261).

Shapes: x_BCHW float in [0, 1]. Coordinates are pixels, right and down; the middle of the first pixel is 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks import randomness
from raiaudit.attacks.corruptions.separable import box_resized, filtered, gaussian_matrix
from raiaudit.attacks.corruptions.severities import Severities, example_ids, is_small

__all__ = ["ELASTIC_TRANSFORM", "PIXELATE", "elastic_transform", "pixelate", "sampled", "triangle_map"]

ELASTIC_TRANSFORM = Severities(
    small=((0.0, 0.0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    large=((2.0, 0.7, 0.1), (2.0, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)),
)
"""Amplitude and smoothness of the displacement, how far corners are moved; in units of the image's side."""

PIXELATE = Severities(small=(0.95, 0.90, 0.85, 0.75, 0.65), large=(0.6, 0.5, 0.4, 0.3, 0.25))
"""Side of the shrunken image, relative to the image's own."""

_AUTHORS_SIDE = 244 / 224  # the authors meant 224 and wrote 244; their numbers are kept


def elastic_transform(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """A random affine map, then a smooth random displacement of every pixel; each samples linearly.

    The paper's lengths are those of 32 and 224 pixels; here they scale with the image's shorter side.
    """
    amplitude, smoothness, corners = ELASTIC_TRANSFORM.of(x_BCHW, severity)
    known_B = example_ids(x_BCHW, ids)
    height, width = x_BCHW.shape[-2:]
    side = min(height, width) * (1.0 if is_small(x_BCHW) else _AUTHORS_SIDE)
    unit_B32 = randomness.uniform(known_B, (3, 2), seed=seed, stream="elastic_transform/corners")
    back_B23 = triangle_map(height, width, (2 * unit_B32.double() - 1) * (corners * side))
    grid_HW2 = _pixels(height, width, x_BCHW.device)
    place_BHW2 = (grid_HW2 @ back_B23[:, None, :, :2].mT + back_B23[:, None, None, :, 2]).to(x_BCHW.dtype)
    warped = sampled(x_BCHW, place_BHW2, around_pixel=True)
    if amplitude:
        sigma = smoothness * side
        unit_B2HW = randomness.uniform(known_B, (2, height, width), seed=seed, stream="elastic_transform")
        smooth_B2HW = filtered(
            2 * unit_B2HW - 1,
            gaussian_matrix(height, sigma, "symmetric", 3.0),
            gaussian_matrix(width, sigma, "symmetric", 3.0),
        )
        shift_BHW2 = (amplitude * side) * smooth_B2HW.movedim(1, -1)
        warped = sampled(warped, (grid_HW2 + shift_BHW2).to(x_BCHW.dtype), around_pixel=False)
    return warped.clamp_(0, 1)


def triangle_map(height: int, width: int, moved_B32: Tensor) -> Tensor:
    """B×2×3 affine maps from pixels of the result to pixels of the image (float64).

    Three points around the middle, a third of the shorter side away, are moved by `moved`; the map is the
    inverse of the one that does so.
    """
    middle = moved_B32.new_tensor([width // 2, height // 2])
    reach = min(height, width) // 3
    signs_32 = moved_B32.new_tensor([[1, 1], [1, -1], [-1, -1]])
    before_32 = middle + max(reach, 1) * signs_32
    after_B33 = torch.cat([before_32 + moved_B32, torch.ones_like(moved_B32[..., :1])], dim=2)
    back_B32: Tensor = torch.linalg.solve(after_B33, before_32.expand_as(moved_B32))
    return back_B32.mT


def sampled(x_BCHW: Tensor, place_BHW2: Tensor, *, around_pixel: bool) -> Tensor:
    """The images read at `place`, linearly; outside they are mirrored, around the last pixel or with it."""
    height, width = x_BCHW.shape[-2:]
    size_2 = place_BHW2.new_tensor([width, height])
    if around_pixel:
        grid = 2 * place_BHW2 / (size_2 - 1).clamp(min=1) - 1
    else:
        grid = (2 * place_BHW2 + 1) / size_2 - 1
    return functional.grid_sample(x_BCHW, grid, "bilinear", "reflection", align_corners=around_pixel)


def _pixels(height: int, width: int, device: torch.device) -> Tensor:
    down, right = (torch.arange(size, device=device, dtype=torch.float64) for size in (height, width))
    return torch.stack(torch.meshgrid(right, down, indexing="xy"), dim=-1)


def pixelate(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """Shrunk and enlarged again by Pillow's box filter, without its rounding to 8 bits. Nothing is random."""
    share = PIXELATE.of(x_BCHW, severity)
    rows_HH, columns_WW = (box_resized(size, max(1, int(size * share))) for size in x_BCHW.shape[-2:])
    return filtered(x_BCHW, rows_HH, columns_WW).clamp_(0, 1)
