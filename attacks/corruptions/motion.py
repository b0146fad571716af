"""Blur along a straight path, each image in a direction of its own (arXiv:1903.12261).

The path is ImageMagick's: from each pixel one way, at whole pixels, with the weights of half a normal
density. Shapes: x_BCHW float in [0, 1]; lengths in pixels; angles in degrees.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from raiaudit.attacks import randomness
from raiaudit.attacks.corruptions.severities import Severities, example_ids

__all__ = ["MOTION_BLUR", "drawn_along", "motion_blur"]

MOTION_BLUR = Severities(
    small=((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5)),
    large=((10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0)),
)
"""Half the length of the path, and the standard deviation of the weights along it."""

_NEGLIGIBLE = 6.0  # standard deviations: a weight of e⁻¹⁸ of the first


def motion_blur(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """Camera shake in a direction between −45 and 45 degrees; outside the image its border value goes on."""
    radius, sigma = MOTION_BLUR.of(x_BCHW, severity)
    unit_B1 = randomness.uniform(example_ids(x_BCHW, ids), (1,), seed=seed, stream="motion_blur")
    return drawn_along(x_BCHW, (unit_B1[:, 0] - 0.5) * 90, radius=radius, sigma=sigma).clamp_(0, 1)


def drawn_along(x_BCHW: Tensor, angle_B: Tensor, *, radius: int, sigma: float) -> Tensor:
    """Each image blurred along its angle: one gather a step for the whole batch."""
    height, width = x_BCHW.shape[-2:]
    steps = min(2 * radius + 1, int(_NEGLIGIBLE * sigma) + 1)
    step_T = torch.arange(steps, device=x_BCHW.device, dtype=torch.float64)
    weight_T = torch.exp(-0.5 * (torch.arange(2 * radius + 1, dtype=torch.float64) / sigma) ** 2)
    weights = (weight_T[:steps] / weight_T.sum()).tolist()
    radians_B1 = angle_B.double().deg2rad()[:, None]
    down_BT = (step_T * radians_B1.sin() - 0.5).ceil().long()
    right_BT = (step_T * radians_B1.cos() - 0.5).ceil().long()
    row_H1 = torch.arange(height, device=x_BCHW.device)[:, None]
    column_W = torch.arange(width, device=x_BCHW.device)
    flat_BCP = x_BCHW.flatten(2)
    blurred = torch.zeros_like(flat_BCP)
    for weight, down_B, right_B in zip(weights, down_BT.unbind(1), right_BT.unbind(1), strict=True):
        rows_BH1 = (row_H1 + down_B[:, None, None]).clamp_(0, height - 1)
        columns_B1W = (column_W + right_B[:, None, None]).clamp_(0, width - 1)
        place_B1P = (rows_BH1 * width + columns_B1W).flatten(1)[:, None]
        blurred.add_(flat_BCP.gather(2, place_B1P.expand_as(flat_BCP)), alpha=weight)
    return blurred.view_as(x_BCHW)
