"""Rain drops and mud on the lens (arXiv:1903.12261). Shapes: x_BCHW float in [0, 1]; lengths in pixels.

As in the authors' code but for one step: where they look for the edges of drops with Canny's detector, here
the edge is the drop's own border, which is what the detector finds on drops that lie on black.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks import randomness
from raiaudit.attacks.corruptions.colour import tinted
from raiaudit.attacks.corruptions.separable import gaussian_blurred, inside
from raiaudit.attacks.corruptions.severities import Severities, example_ids

__all__ = ["SPATTER", "distance", "equalised", "spatter"]

SPATTER = Severities(
    small=(
        (0.62, 0.1, 0.7, 0.70, 0.5, False),
        (0.65, 0.1, 0.8, 0.70, 0.5, False),
        (0.65, 0.3, 1.0, 0.69, 0.5, False),
        (0.65, 0.1, 0.7, 0.69, 0.6, True),
        (0.65, 0.1, 0.5, 0.68, 0.6, True),
    ),
    large=(
        (0.65, 0.3, 4.0, 0.69, 0.6, False),
        (0.65, 0.3, 3.0, 0.68, 0.6, False),
        (0.65, 0.3, 2.0, 0.68, 0.5, False),
        (0.65, 0.3, 1.0, 0.65, 1.5, True),
        (0.67, 0.4, 1.0, 0.65, 1.5, True),
    ),
)
"""Of the noise that drops come from: mean, deviation, blur, threshold; opacity of the water, or blur of the
mud's edge; whether it is mud."""

_WATER = (175 / 255, 238 / 255, 238 / 255)
_MUD = (63 / 255, 42 / 255, 20 / 255)
_OPAQUE = 0.8
_FARTHEST = 20
_EMBOSS = ((-2.0, -1.0, 0.0), (-1.0, 1.0, 1.0), (0.0, 1.0, 2.0))


def spatter(x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None) -> Tensor:
    """Severities 1–3 add shaded drops of water, 4 and 5 cover with mud."""
    mean, deviation, blur, threshold, last, mud = SPATTER.of(x_BCHW, severity)
    noise_B1HW = randomness.normal(
        example_ids(x_BCHW, ids), (1, *x_BCHW.shape[-2:]), seed=seed, stream="spatter"
    )
    liquid_B1HW = gaussian_blurred(mean + deviation * noise_B1HW, blur).to(x_BCHW.dtype)
    wet_B1HW = liquid_B1HW >= threshold
    if mud:
        cover_B1HW = gaussian_blurred(wet_B1HW.to(x_BCHW.dtype), last)
        cover_B1HW = torch.where(cover_B1HW < _OPAQUE, 0, cover_B1HW)
        return x_BCHW.lerp(tinted(_MUD, x_BCHW).expand_as(x_BCHW), cover_B1HW).clamp_(0, 1)
    water_B1HW = torch.where(wet_B1HW, liquid_B1HW, 0) * _shading(wet_B1HW)
    water_B1HW = water_B1HW * (last / water_B1HW.amax((2, 3), keepdim=True).clamp(min=1e-12))
    return (x_BCHW + water_B1HW * tinted(_WATER, x_BCHW)).clamp_(0, 1)


def _shading(wet_B1HW: Tensor) -> Tensor:
    """Light on the drops, 0…255: distance from their border, its ranks, embossed from one corner."""
    near = _smoothed(distance(_border(wet_B1HW)).clamp_(max=_FARTHEST)).floor_()
    embossed = _windows(equalised(near), _EMBOSS).clamp_(0, 255)
    return _smoothed(embossed)


def _border(wet_B1HW: Tensor) -> Tensor:
    """Wet pixels with a dry one beside, above or below."""
    dry = functional.pad((~wet_B1HW).float(), (1, 1, 1, 1))
    beside = dry[..., 1:-1, :-2] + dry[..., 1:-1, 2:] + dry[..., :-2, 1:-1] + dry[..., 2:, 1:-1]
    return wet_B1HW & (beside > 0)


def distance(mask_B1HW: Tensor) -> Tensor:
    """Euclidean distance to the nearest pixel of the mask, exact up to 20, at least 20 beyond."""
    along = torch.where(mask_B1HW, 0.0, float(_FARTHEST**2))
    for dim in (2, 3):
        reach = min(_FARTHEST, along.shape[dim] - 1)
        squares = along.clone()
        for step in range(1, reach + 1):
            size = along.shape[dim] - step
            near, far = along.narrow(dim, 0, size) + step**2, along.narrow(dim, step, size) + step**2
            torch.minimum(squares.narrow(dim, step, size), near, out=squares.narrow(dim, step, size))
            torch.minimum(squares.narrow(dim, 0, size), far, out=squares.narrow(dim, 0, size))
        along = squares
    return along.sqrt_()


def equalised(x_B1HW: Tensor) -> Tensor:
    """Histogram equalisation of whole numbers 0…255: each image's values spread by their ranks over 0…255."""
    values_BP = x_B1HW.flatten(1).long()
    counts_BV = torch.zeros(len(values_BP), 256, device=x_B1HW.device)
    counts_BV.scatter_add_(1, values_BP, torch.ones_like(values_BP, dtype=counts_BV.dtype))
    ranks_BV = counts_BV.cumsum(1)
    least_B1 = counts_BV.gather(1, values_BP.amin(1, keepdim=True))
    spread_B1 = values_BP.shape[1] - least_B1
    levels_BV = ((ranks_BV - least_B1) * (255 / spread_B1.clamp(min=1))).round_()
    return levels_BV.gather(1, values_BP).view_as(x_B1HW).to(x_B1HW.dtype)


def _smoothed(x_B1HW: Tensor) -> Tensor:
    return _windows(x_B1HW, ((1 / 9,) * 3,) * 3)


def _windows(x_B1HW: Tensor, weights: tuple[tuple[float, ...], ...]) -> Tensor:
    """Correlation with 3×3 weights; the image is mirrored at its border."""
    rows, columns = (inside(torch.arange(-1, size + 1), size, "mirror") for size in x_B1HW.shape[-2:])
    padded = x_B1HW[:, :, rows.to(x_B1HW.device)][..., columns.to(x_B1HW.device)]
    return functional.conv2d(padded, x_B1HW.new_tensor(weights)[None, None])
