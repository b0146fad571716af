"""Decoupled direction and norm (Rony et al., arXiv:1811.09600) in L2: the nearest error.

The gradient of the cross-entropy gives the direction; the norm is set apart from it: after each step the
perturbation is scaled to a radius that shrinks by `rate` after an error and grows by it otherwise.

Shapes: x images B×C×H×W or vectors B×W, y_B int64, eps in the units of x. Legend: A active rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from raiaudit.attacks.evasion.engine.balls import per_row
from raiaudit.attacks.evasion.engine.region import Region
from raiaudit.attacks.evasion.engine.rows import Rows
from raiaudit.attacks.evasion.engine.rules import Clean, Rule, Seen
from raiaudit.attacks.evasion.images.attack import ImageAttack
from raiaudit.attacks.evasion.images.fmn import annealed, farthest
from raiaudit.attacks.evasion.images.losses import cross_entropy
from raiaudit.attacks.threats import Norm

__all__ = ["DDN", "OnSphere"]

_LAST_STEP = 0.01  # of the first step's length


@dataclass(frozen=True, slots=True, kw_only=True)
class OnSphere(Rule):
    """The rule; `step_size` is the first step's length, `radius` the first sphere's."""

    name: str
    region: Region
    steps: int
    step_size: float
    radius: float
    rate: float
    minimal: bool = True

    def start(self, rows: Rows) -> Rows:
        """The clean input."""
        farthest_A = farthest(rows.x0, self.region)
        memory = {"radius": torch.full_like(farthest_A, self.radius), "farthest": farthest_A}
        return replace(rows, x=rows.x0, memory=memory)

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """Cross-entropy."""
        return cross_entropy(logits_AK, rows.y_A)

    def step(self, rows: Rows, seen: Seen, iteration: int) -> Rows:
        """Step, then scale to the next radius."""
        assert seen.grad is not None
        ball, memory = self.region.ball, dict(rows.memory)
        change_A = torch.where(seen.errs_A, 1 - self.rate, 1 + self.rate)
        memory["radius"] = (memory["radius"] * change_A).minimum(memory["farthest"])
        length = annealed(self.step_size, _LAST_STEP * self.step_size, iteration / self.steps)
        delta = ball.ascent(seen.grad).mul_(length).add_(rows.x - rows.x0)
        size_A = ball.distance(delta).float().clamp_min(torch.finfo(delta.dtype).tiny)
        x = rows.x0 + delta * per_row(memory["radius"] / size_A, delta)
        return replace(rows, x=x.clamp_(self.region.low, self.region.high), memory=memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class DDN(ImageAttack):
    """`steps` steps; `step_size` and the first `radius` in widths of the box."""

    name: ClassVar[str] = "ddn"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l2"})
    closest: ClassVar[bool] = True

    steps: int = 100
    step_size: float = 1.0
    radius: float = 1.0
    rate: float = 0.05

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size) < 1 or min(self.step_size, self.radius) <= 0:
            raise ValueError(f"steps, batch_size, step_size and radius are positive: {self}")
        if not 0 < self.rate < 1:
            raise ValueError(f"rate lies in (0, 1): {self}")

    def rules(self, region: Region, *, seed: int) -> Sequence[Rule]:
        """The clean look, then the steps."""
        width = region.high - region.low
        spheres = OnSphere(
            name=self.name,
            region=region,
            steps=self.steps,
            step_size=self.step_size * width,
            radius=self.radius * width,
            rate=self.rate,
        )
        return [Clean(), spheres]
