"""Clouds: random height maps by the diamond-square algorithm (Fournier, Fussell, Carpenter 1982,
doi:10.1145/358523.358553), for a batch at once, on a torus. Shapes: M×M maps, M a power of two."""

from __future__ import annotations

import torch
from torch import Tensor

from raiaudit.attacks import randomness

__all__ = ["plasma"]

_FIRST_WIBBLE = 100.0


def plasma(ids_B: Tensor, size: int, *, decay: float, seed: int, stream: str) -> Tensor:
    """B×M×M heights, each map scaled to [0, 1]; M is the least power of two ≥ `size` (and ≥ 2).

    From one corner, midpoints are filled in at half the distance again and again: the mean of their four
    neighbours plus a random part, whose range shrinks by `decay` from one distance to the next. A smaller
    `decay` leaves more of it to the fine detail.
    """
    side = 1 << max(1, (size - 1).bit_length())
    unit_BMM = randomness.uniform(ids_B, (side, side), seed=seed, stream=stream)
    height_BMM = torch.zeros_like(unit_BMM)
    step, wibble = side, _FIRST_WIBBLE
    while step >= 2:
        half = step // 2
        # The authors' range grows with the square: wibble · U(−wibble, wibble).
        random_BMM = (2 * unit_BMM - 1) * wibble**2
        corner, centre = (..., slice(0, None, step)), (..., slice(half, None, step))
        rows, middles = (..., corner[-1], slice(None)), (..., centre[-1], slice(None))

        corners = height_BMM[rows][corner]
        beside = corners + corners.roll(-1, -1)
        height_BMM[middles][centre] = (beside + beside.roll(-1, -2)) / 4 + random_BMM[middles][centre]

        centres = height_BMM[middles][centre]
        across = centres + centres.roll(1, -2) + beside
        height_BMM[rows][centre] = across / 4 + random_BMM[rows][centre]
        down = centres + centres.roll(1, -1) + corners + corners.roll(-1, -2)
        height_BMM[middles][corner] = down / 4 + random_BMM[middles][corner]

        step, wibble = half, wibble / decay
    low_B11 = height_BMM.amin((1, 2), keepdim=True)
    span_B11 = height_BMM.amax((1, 2), keepdim=True) - low_B11
    return (height_BMM - low_B11) / span_B11.clamp(min=1e-12)
