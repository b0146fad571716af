"""The near surroundings of an input: plateaus, where a tiny step changes nothing, and cliffs.

A model that quantises its input is constant almost everywhere: its gradient is zero and says nothing of the
next error. One whose answer changes wildly in a tiny ball has a gradient that says nothing either (shattered
gradients, arXiv:1802.00420; indicator "unstable predictions" of Pintor et al., arXiv:2106.09947).
Shapes: x images B×C×H×W or vectors B×W.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from raiaudit.attacks import randomness
from raiaudit.attacks.evasion.base import LogitsOf, prepared
from raiaudit.attacks.spaces import ImageBox

__all__ = ["Surroundings", "surroundings"]

_TINY = 1e-5  # of the width of the box: float32 sees such a step, a quantiser does not
_SMALL = 1e-3


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`plateau_B`: not one bit of the logits changed under any tiny step from the clean input, or from a
    random point near it (clean images may lie just where a quantiser jumps). `variation_B`: mean change of
    the logits under small steps, as a share of their range. `forwards`: passes spent on each example.
    """

    plateau_B: Tensor
    variation_B: Tensor
    forwards: int


def surroundings(
    classifier: LogitsOf,
    x: Tensor,
    *,
    space: ImageBox,
    radius: float,
    ids_B: Tensor,
    seed: int,
    draws: int = 5,
) -> Surroundings:
    """Random corners of L∞ balls of 1e-5 and 1e-3 of the box, about x and a point within `radius` of x."""
    width = space.high - space.low
    step_of = _Steps(space, ids_B, seed)
    with prepared(classifier), torch.no_grad():
        away = step_of(x, min(radius, width / 2), draw=0, share=True)
        variation, flat = [], []
        for start in (x, away):
            here_BK = classifier(start).float()
            tiny = [classifier(step_of(start, _TINY * width, draw=1 + draw)).float() for draw in range(draws)]
            flat.append((torch.stack(tiny) == here_BK).all(2).all(0))
        clean_BK = classifier(x).float()
        for draw in range(draws):
            small_BK = classifier(step_of(x, _SMALL * width, draw=1 + draw)).float()
            variation.append((small_BK - clean_BK).abs().amax(1))
    range_B = (clean_BK.amax(1) - clean_BK.amin(1)).clamp_min(torch.finfo(torch.float32).tiny)
    return Surroundings(flat[0] | flat[1], torch.stack(variation).mean(0) / range_B, 3 + 3 * draws)


@dataclass(frozen=True, slots=True)
class _Steps:
    """Random steps within the box, keyed by example."""

    space: ImageBox
    ids_B: Tensor
    seed: int

    def __call__(self, x: Tensor, size: float, *, draw: int, share: bool = False) -> Tensor:
        """±`size` in every value, or (`share`) uniform between; turned inwards at the walls of the box."""
        uniform = randomness.uniform(
            self.ids_B, x.shape[1:], seed=self.seed, stream="surroundings", draw=draw
        )
        step = uniform * 2 - 1 if share else torch.where(uniform < 0.5, -1.0, 1.0)
        step = step.to(x.dtype) * size
        outside = (x + step > self.space.high) | (x + step < self.space.low)
        return torch.where(outside, x - step, x + step)
