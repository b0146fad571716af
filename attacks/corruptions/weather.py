"""Snow, frost and fog (arXiv:1903.12261). Shapes: x_BCHW float in [0, 1]; lengths in pixels.

Frost is not the authors': they lay crops of five photographs of frosted windows over the image, and no
photograph is shipped here. Ours is drawn: ice needles in three directions over a cloud, in the brightness
(0.47 to 0.82, mean 0.64), contrast and bluish tint measured on those photographs. Its numbers are therefore
comparable between models audited here, not with published frost results.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from raiaudit.attacks import randomness
from raiaudit.attacks.corruptions.colour import luma, tinted
from raiaudit.attacks.corruptions.motion import drawn_along
from raiaudit.attacks.corruptions.plasma import plasma
from raiaudit.attacks.corruptions.separable import filtered, zoom_matrix
from raiaudit.attacks.corruptions.severities import Severities, example_ids, is_small

__all__ = ["FOG", "FROST", "SNOW", "fog", "frost", "frost_layer", "snow"]

SNOW = Severities(
    small=(
        (0.10, 0.2, 1.00, 0.60, 8, 3.0, 0.95),
        (0.10, 0.2, 1.00, 0.50, 10, 4.0, 0.90),
        (0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.90),
        (0.25, 0.3, 2.25, 0.60, 12, 6.0, 0.85),
        (0.30, 0.3, 1.25, 0.65, 14, 12.0, 0.80),
    ),
    large=(
        (0.10, 0.3, 3.0, 0.50, 10, 4.0, 0.80),
        (0.20, 0.3, 2.0, 0.50, 12, 4.0, 0.70),
        (0.55, 0.3, 4.0, 0.90, 12, 8.0, 0.70),
        (0.55, 0.3, 4.5, 0.85, 12, 8.0, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12.0, 0.55),
    ),
)
"""Of the noise that flakes come from: mean, deviation, magnification, threshold; of the wind: radius and
deviation of the motion blur; share of the scene's own colour."""

FROST = Severities(
    small=((1.0, 0.20), (1.0, 0.30), (0.9, 0.40), (0.85, 0.40), (0.75, 0.45)),
    large=((1.0, 0.40), (0.8, 0.60), (0.7, 0.70), (0.65, 0.70), (0.60, 0.75)),
)
"""Weights of the image and of the frost."""

FOG = Severities(
    small=((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75)),
    large=((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)),
)
"""Thickness, and the decay of the cloud: less of it is a patchier fog."""

_ICE = (0.90, 1.00, 1.08)
_ICE_BRIGHTNESS = (0.47, 0.82)
_ICE_CONTRAST = 0.10
_NEEDLES = 3
_CLOUD_DECAY = 2.0


def snow(x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None) -> Tensor:
    """A whitened scene under flakes that the wind draws out, in one direction an image."""
    mean, deviation, zoom, threshold, radius, sigma, kept = SNOW.of(x_BCHW, severity)
    known_B = example_ids(x_BCHW, ids)
    height, width = x_BCHW.shape[-2:]
    noise_B1HW = randomness.normal(known_B, (1, height, width), seed=seed, stream="snow")
    noise_B1HW = filtered(mean + deviation * noise_B1HW, zoom_matrix(height, zoom), zoom_matrix(width, zoom))
    flakes_B1HW = torch.where(noise_B1HW < threshold, 0, noise_B1HW).clamp_(0, 1).to(x_BCHW.dtype)
    unit_B1 = randomness.uniform(known_B, (1,), seed=seed, stream="snow/wind")
    flakes_B1HW = drawn_along(flakes_B1HW, unit_B1[:, 0] * 90 - 135, radius=int(radius), sigma=sigma)
    whitened_BCHW = x_BCHW.lerp(torch.maximum(x_BCHW, 1.5 * luma(x_BCHW) + 0.5), 1 - kept)
    return (whitened_BCHW + flakes_B1HW + flakes_B1HW.flip(-1, -2)).clamp_(0, 1)


def frost(x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None) -> Tensor:
    """Ice on the window before the scene: c₁·x + c₂·frost. It is drawn, not photographed (see above)."""
    kept, laid = FROST.of(x_BCHW, severity)
    ice_B1HW = frost_layer(x_BCHW, example_ids(x_BCHW, ids), seed=seed)
    return (kept * x_BCHW + laid * (ice_B1HW * tinted(_ICE, x_BCHW)).clamp_(0, 1)).clamp_(0, 1)


def frost_layer(x_BCHW: Tensor, ids_B: Tensor, *, seed: int) -> Tensor:
    """B×1×H×W: the brightness of an iced window for each image, without its tint."""
    height, width = x_BCHW.shape[-2:]
    radius, sigma = (2, 1.5) if is_small(x_BCHW) else (10, 5.0)
    noise_BN1HW = randomness.normal(ids_B, (_NEEDLES, 1, height, width), seed=seed, stream="frost")
    unit_BN = randomness.uniform(ids_B, (_NEEDLES + 1,), seed=seed, stream="frost/needles")
    needles_BN = torch.stack(
        [
            drawn_along(noise_BN1HW[:, turn], unit_BN[:, turn] * 360, radius=radius, sigma=sigma)
            for turn in range(_NEEDLES)
        ]
    )
    cloud_BMM = plasma(ids_B, max(height, width), decay=_CLOUD_DECAY, seed=seed, stream="frost/cloud")
    layer_B1HW = _standard(needles_BN.amax(0)) + _standard(cloud_BMM[:, None, :height, :width])
    darkest, brightest = _ICE_BRIGHTNESS
    brightness_B111 = (darkest + (brightest - darkest) * unit_BN[:, -1])[:, None, None, None]
    return (brightness_B111 + _ICE_CONTRAST * _standard(layer_B1HW)).clamp_(0, 1).to(x_BCHW.dtype)


def _standard(x_B1HW: Tensor) -> Tensor:
    """Each image with mean 0 and standard deviation 1."""
    centred = x_B1HW - x_B1HW.mean((2, 3), keepdim=True)
    return centred / centred.square().mean((2, 3), keepdim=True).sqrt_().clamp_(min=1e-6)


def fog(x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None) -> Tensor:
    """A cloud is added, and the whole scaled back so that nothing is brighter than the image was."""
    thickness, decay = FOG.of(x_BCHW, severity)
    height, width = x_BCHW.shape[-2:]
    cloud_BMM = plasma(example_ids(x_BCHW, ids), max(height, width), decay=decay, seed=seed, stream="fog").to(
        x_BCHW.dtype
    )
    brightest_B111 = x_BCHW.amax((1, 2, 3), keepdim=True)
    fogged_BCHW = x_BCHW + thickness * cloud_BMM[:, None, :height, :width]
    return (fogged_BCHW * (brightest_B111 / (brightest_B111 + thickness))).clamp_(0, 1)
