"""Projected gradient descent (Madry et al., arXiv:1706.06083) in L∞ and L2.

`PGD` is the attack of an evaluation: restarts, early exit, first success kept, counted passes.
`perturb` is the bare inner maximisation for adversarial training. Both ascend the cross-entropy (the
latter any loss) along the steepest direction of their norm.
Shapes: x images B×C×H×W, y_B int64, eps and step_size in the units of x.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks.evasion.base import LogitsOf
from raiaudit.attacks.evasion.engine.balls import BALLS, per_row
from raiaudit.attacks.evasion.engine.region import Region
from raiaudit.attacks.evasion.engine.rows import Rows
from raiaudit.attacks.evasion.engine.rules import Clean, Rule, Seen
from raiaudit.attacks.evasion.images.attack import ImageAttack
from raiaudit.attacks.threats import Norm

__all__ = ["MIFGSM", "PGD", "Ascent", "perturb"]


def _cross_entropy_sum(logits_BK: Tensor, y_B: Tensor) -> Tensor:
    return functional.cross_entropy(logits_BK, y_B, reduction="sum")


@dataclass(frozen=True, slots=True)
class Ascent(Rule):
    """The rule of FGSM, PGD and MI-FGSM: steps of one length along the steepest direction, projected back."""

    name: str
    region: Region
    steps: int
    step_size: float
    tries: int = 1
    seed: int | None = None
    """Of the random starts, one for each try; None starts at the clean input."""
    decay: float = 0.0
    """How much of the accumulated gradient each step keeps (MI-FGSM)."""

    def start(self, rows: Rows) -> Rows:
        """A uniform point of the region, or the clean input."""
        memory = {"momentum": torch.zeros_like(rows.x0)} if self.decay else {}
        if self.seed is None:
            return replace(rows, x=rows.x0, memory=memory)
        x = self.region.random(rows.x0, rows.ids_A, rows.try_A, seed=self.seed, stream=self.name)
        return replace(rows, x=x, memory=memory)

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """Cross-entropy."""
        return functional.cross_entropy(logits_AK, rows.y_A, reduction="none")

    def step(self, rows: Rows, seen: Seen, iteration: int) -> Rows:
        """x ← projection of x + step_size · direction."""
        assert seen.grad is not None
        direction, memory = seen.grad, {}
        if self.decay:
            size_A = direction.flatten(1).abs().sum(1).clamp_min(torch.finfo(direction.dtype).tiny)
            direction = (direction / per_row(size_A, direction)).add(
                rows.memory["momentum"], alpha=self.decay
            )
            memory = {"momentum": direction}
        moved = self.region.ball.ascent(direction).mul_(self.step_size).add_(rows.x)
        return replace(rows, x=self.region.project(moved, rows.x0), memory=memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class PGD(ImageAttack):
    """`restarts` ascents of `steps` steps; `step_size` defaults to 2.5·eps/steps."""

    name: ClassVar[str] = "pgd"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2"})

    steps: int = 40
    step_size: float | None = None
    restarts: int = 1
    random_start: bool = True

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 1 or self.batch_size < 1:
            raise ValueError(f"steps, restarts and batch_size must be at least 1: {self}")
        if self.restarts > 1 and not self.random_start:
            raise ValueError("restarts from the clean input would all be the same: set random_start")

    def rules(self, region: Region, *, seed: int) -> Sequence[Rule]:
        """The clean look, then the ascents."""
        step_size = self.step_size if self.step_size is not None else 2.5 * region.eps / self.steps
        start = seed if self.random_start else None
        return [Clean(), Ascent(self.name, region, self.steps, step_size, self.restarts, start)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MIFGSM(ImageAttack):
    """The momentum iterative method (Dong et al., arXiv:1710.06081): `steps` steps of eps/steps."""

    name: ClassVar[str] = "mi_fgsm"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2"})

    steps: int = 10
    decay: float = 1.0

    def rules(self, region: Region, *, seed: int) -> Sequence[Rule]:
        """The clean look, then the steps from the clean input."""
        return [Clean(), Ascent(self.name, region, self.steps, region.eps / self.steps, decay=self.decay)]


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
    loss: Callable[[Tensor, Tensor], Tensor] = _cross_entropy_sum,
    start_deviation: float | None = None,
) -> Tensor:
    """`steps` ascents of a loss from a random point near `x`; the last iterate, detached.

    For the inside of a training loop: fixed shapes, no early exit, exactly `steps` forwards and input
    backwards. The classifier's mode and parameters are the caller's; no `.grad` is written. The
    generator lives on the device of `x`, whose memory layout every iterate keeps. The result is within
    `eps` of `x`, to float32 rounding, and within [low, high] (infinite where the box is open).

    `loss(logits_BK, y_B)` is a sum over examples, by default the cross-entropy. The start is uniform in
    the ball, or with `start_deviation` Gaussian around `x`, whatever `eps`.
    """
    ball, clean = BALLS[norm], x.detach()
    uniform = partial(torch.rand, clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
    normal = partial(torch.randn, clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
    start = ball.random(uniform, normal, eps) if start_deviation is None else normal() * start_deviation
    moved = (clean + start).clamp_(low, high)
    for _ in range(steps):
        moved.requires_grad_()
        with torch.enable_grad():
            raised = loss(classifier(moved), y_B)
        (grad,) = torch.autograd.grad(raised, moved)
        step = ball.ascent(grad).mul_(step_size).add_(moved.detach()).sub_(clean)
        moved = ball.project(step, eps).add_(clean).clamp_(low, high)
    return moved
