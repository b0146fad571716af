"""Projected gradient descent (Madry et al., arXiv:1706.06083) in L∞ and L2.

`PGD` is the attack of an evaluation: restarts, early exit, first success kept, counted passes.
`perturb` is the bare inner maximisation for adversarial training. Both ascend the cross-entropy along
the steepest direction of their norm.
Shapes: x images B×C×H×W, y_B int64, eps and step_size in the units of x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks.evasion import engine
from raiaudit.attacks.evasion.balls import BALLS
from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, Modality
from raiaudit.attacks.evasion.region import Region, region_of
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel

__all__ = ["PGD", "Ascent", "perturb"]


@dataclass(frozen=True, slots=True)
class Ascent:
    """The rule of FGSM and PGD: steps of one length along the steepest direction, projected back."""

    region: Region
    steps: int
    step_size: float
    random: tuple[int, str, int] | None = None
    """(seed, stream, draw) of a random start; None starts at the clean input."""

    def start(self, rows: engine.Rows) -> engine.Rows:
        """A uniform point of the region, or the clean input."""
        if self.random is None:
            return replace(rows, x=rows.x0, memory={})
        seed, stream, draw = self.random
        x = self.region.random(rows.x0, rows.ids_A, seed=seed, stream=stream, draw=draw)
        return replace(rows, x=x, memory={})

    def loss(self, logits_AK: Tensor, rows: engine.Rows) -> Tensor:
        """Cross-entropy."""
        return functional.cross_entropy(logits_AK, rows.y_A, reduction="none")

    def step(self, rows: engine.Rows, loss_A: Tensor, grad: Tensor, iteration: int) -> engine.Rows:
        """x ← projection of x + step_size · direction."""
        moved = self.region.ball.ascent(grad).mul_(self.step_size).add_(rows.x)
        return replace(rows, x=self.region.project(moved, rows.x0))


@dataclass(frozen=True, slots=True, kw_only=True)
class PGD:
    """`restarts` ascents of `steps` steps; `step_size` defaults to 2.5·eps/steps."""

    name: ClassVar[str] = "pgd"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2"})
    modality: ClassVar[Modality] = "image"
    knowledge: ClassVar[Knowledge] = "white"

    steps: int = 40
    step_size: float | None = None
    restarts: int = 1
    random_start: bool = True
    batch_size: int = 256

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 1 or self.batch_size < 1:
            raise ValueError(f"steps, restarts and batch_size must be at least 1: {self}")
        if self.restarts > 1 and not self.random_start:
            raise ValueError("restarts from the clean input would all be the same: set random_start")

    def __call__(
        self,
        classifier: LogitsOf,
        x: Tensor,
        y_B: Tensor,
        threat: ThreatModel,
        *,
        space: InputSpace,
        seed: int,
        ids: Sequence[int] | Tensor | None = None,
    ) -> AttackResult:
        """Attack images; errors as in `region_of` and `engine.run`."""
        region = region_of(self, x, y_B, threat, space)
        step_size = self.step_size if self.step_size is not None else 2.5 * threat.eps / self.steps
        ascend = partial(Ascent, region, self.steps, step_size)
        rules: list[engine.Rule]
        if threat.eps == 0:
            rules = [engine.Clean()]
        elif self.random_start:
            rules = [engine.Clean(), *(ascend((seed, self.name, draw)) for draw in range(self.restarts))]
        else:
            rules = [ascend()]
        ids_B = engine.example_ids(ids, len(x), x.device)
        return engine.run(
            rules,
            classifier,
            x,
            y_B,
            region=region,
            ids_B=ids_B,
            batch_size=self.batch_size,
            budget=threat.budget,
        )


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
    generator lives on the device of `x`. The result is within `eps` of `x`, to float32 rounding, and
    within [low, high] (infinite where the box is open).
    """
    ball, clean = BALLS[norm], x.detach()
    uniform = partial(torch.rand, clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
    normal = partial(torch.randn, clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
    moved = ball.random(uniform, normal, eps).add_(clean).clamp_(low, high)
    for _ in range(steps):
        moved.requires_grad_()
        with torch.enable_grad():
            loss = functional.cross_entropy(classifier(moved), y_B, reduction="sum")
        (grad,) = torch.autograd.grad(loss, moved)
        step = ball.ascent(grad).mul_(step_size).add_(moved.detach()).sub_(clean)
        moved = ball.project(step, eps).add_(clean).clamp_(low, high)
    return moved
