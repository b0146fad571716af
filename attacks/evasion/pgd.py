"""Projected gradient descent (Madry et al., arXiv:1706.06083) in L∞ and L2.

`perturb` is the bare inner maximisation for adversarial training.
Shapes: x_B… images B×C×H×W (or any float rows), y_B int64; eps and step_size in the units of x.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks.evasion.balls import BALLS
from raiaudit.attacks.evasion.base import LogitsOf
from raiaudit.attacks.threats import Norm

__all__ = ["perturb"]


def perturb(
    classifier: LogitsOf,
    x: Tensor,
    y_B: Tensor,
    *,
    norm: Norm,
    eps: float,
    step_size: float,
    steps: int,
    low: float,
    high: float,
    generator: torch.Generator,
) -> Tensor:
    """`steps` ascents of the cross-entropy from a uniform point of the ball; the last iterate, detached.

    For the inside of a training loop: fixed shapes, no early exit, exactly `steps` forwards and input
    backwards. The classifier's mode and parameters are the caller's; no `.grad` is written. The
    generator lives on the device of `x`. The result is within `eps` of `x` and within [low, high].
    """
    ball = BALLS[norm]
    clean = x.detach()
    uniform = partial(torch.rand, clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
    normal = partial(torch.randn, clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
    moved = (clean + ball.random(uniform, normal, eps)).clamp_(low, high)
    for _ in range(steps):
        moved.requires_grad_()
        loss = functional.cross_entropy(classifier(moved), y_B, reduction="sum")
        (grad,) = torch.autograd.grad(loss, moved)
        with torch.no_grad():
            delta = ball.project(moved.detach() - clean + step_size * ball.ascent(grad), eps)
            moved = (clean + delta).clamp_(low, high)
    return moved
