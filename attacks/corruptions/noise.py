"""Noise added to every value of an image (arXiv:1903.12261). Shapes: x_BCHW float in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from raiaudit.attacks import randomness
from raiaudit.attacks.corruptions.severities import Severities

__all__ = ["GAUSSIAN_NOISE", "gaussian_noise"]

GAUSSIAN_NOISE = Severities(small=(0.04, 0.06, 0.08, 0.09, 0.10), large=(0.08, 0.12, 0.18, 0.26, 0.38))
"""Standard deviation, in units of the [0, 1] range."""


def gaussian_noise(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """Independent normal noise, clipped; an image meets the same noise, scaled, at every severity."""
    sigma = GAUSSIAN_NOISE.of(x_BCHW, severity)
    ids_B = torch.as_tensor(range(len(x_BCHW)) if ids is None else ids, dtype=torch.int64)
    noise = randomness.normal(ids_B.to(x_BCHW.device), x_BCHW.shape[1:], seed=seed, stream="gaussian_noise")
    return (x_BCHW + sigma * noise).clamp_(0, 1)
