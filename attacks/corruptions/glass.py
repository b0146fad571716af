"""Blur by frosted glass: between two soft blurs, pixels take the value of a near one (arXiv:1903.12261).

Pixels take values one after another, from the last backwards, so that some are taken from pixels that have
taken theirs. Two pixels of which neither reads the other may as well go at once: pixel (h, w) with reach r
waits only for those after it within r rows and columns, so all pixels with equal (r+1)·h + w form one wave.
The result is that of the sequence, in W + (r+1)·H waves instead of H·W steps.

The authors' code means to swap the two, but on an array of RGB pixels its assignment copies one over the
other. The published images are made so and their severities tuned to it; swaps would carry values across
the whole image.

Shapes: x_BCHW float in [0, 1]; places P = H·W.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from raiaudit.attacks import randomness
from raiaudit.attacks.corruptions.separable import gaussian_blurred
from raiaudit.attacks.corruptions.severities import Severities, example_ids

__all__ = ["GLASS_BLUR", "glass_blur", "shuffled"]

GLASS_BLUR = Severities(
    small=((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    large=((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
)
"""Standard deviation of the blur in pixels, how far away a value is taken from, rounds."""


def glass_blur(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """A blur, the taking of values, and the same blur again."""
    sigma, reach, rounds = GLASS_BLUR.of(x_BCHW, severity)
    blurred, known_B = gaussian_blurred(x_BCHW, sigma), example_ids(x_BCHW, ids)
    height, width = x_BCHW.shape[-2:]
    source_PB = torch.arange(height * width, device=x_BCHW.device)[:, None].repeat(1, len(x_BCHW))
    for turn in range(rounds):
        unit = randomness.uniform(
            known_B, (2, height * width), seed=seed, stream=f"glass_blur/{reach}", draw=turn
        )
        jump_B2P = (unit * (2 * reach)).long() - reach
        source_PB = shuffled(source_PB, jump_B2P.movedim(0, -1), height, width, reach)
    place_BCP = source_PB.T[:, None].expand(-1, x_BCHW.shape[1], -1)
    return gaussian_blurred(blurred.flatten(2).gather(2, place_BCP).view_as(x_BCHW), sigma).clamp_(0, 1)


def shuffled(value_PB: Tensor, jump_2PB: Tensor, height: int, width: int, reach: int) -> Tensor:
    """Values after each pixel, from the last one backwards, took that of the pixel `jump` (down, right) away.

    Jumps lie in −reach…reach−1. Pixels within `reach` of the first border, or less than that from the last,
    keep theirs.
    """
    value_PB = value_PB.clone()
    other_PB = (
        torch.arange(height * width, device=value_PB.device)[:, None] + jump_2PB[0] * width + jump_2PB[1]
    )
    for wave_p in _waves(height, width, reach):
        here_p = wave_p.to(value_PB.device)
        value_PB[here_p] = value_PB.gather(0, other_PB[here_p])
    return value_PB


def _waves(height: int, width: int, reach: int) -> Iterator[Tensor]:
    """Places that change at once, the last pixel first."""
    row, column = (torch.arange(reach + 1, max(reach + 1, side - reach + 1)) for side in (height, width))
    row = row[:, None]
    place, wave = (row * width + column).flatten(), ((reach + 1) * row + column).flatten()
    order = wave.argsort(descending=True, stable=True)
    sizes = torch.bincount(wave).flip(0)
    yield from torch.split(place[order], sizes[sizes > 0].tolist())
