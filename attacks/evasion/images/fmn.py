"""Fast minimum-norm attack (Pintor et al., arXiv:2102.12827) in L∞, L2, L1 and L0: the nearest error.

Steps of decaying length along the gradient of the margin, each projected onto a ball whose radius follows
the boundary: while nothing has erred, the radius at which the linearised model would; from then on a little
smaller after each error, and a little larger otherwise. L0 counts changed values.

Shapes: x images B×C×H×W or vectors B×W, y_B int64, eps in the units of x. Legend: A active rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from raiaudit.attacks.evasion.engine.balls import BALLS
from raiaudit.attacks.evasion.engine.region import Region
from raiaudit.attacks.evasion.engine.rows import Rows
from raiaudit.attacks.evasion.engine.rules import Clean, Rule, Seen, margin
from raiaudit.attacks.evasion.images.attack import ImageAttack
from raiaudit.attacks.evasion.images.projections import onto_ball
from raiaudit.attacks.threats import Norm

__all__ = ["FMN", "FollowBoundary", "annealed", "farthest"]

_LAST_STEP = 0.01  # of the first step's length
_LAST_RATE = 0.001


def annealed(first: float, last: float, share: float) -> float:
    """From `first` (share 0) to `last` (share 1) along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def farthest(x0: Tensor, region: Region) -> Tensor:
    """The norm of the longest move that stays in the box, for each row."""
    return region.ball.distance(torch.maximum(x0 - region.low, region.high - x0)).float()


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowBoundary(Rule):
    """The rule. `step_size` (L2) and `rate`, by which the radius changes, are those of the first step."""

    name: str
    region: Region
    steps: int
    step_size: float
    rate: float
    minimal: bool = True

    def start(self, rows: Rows) -> Rows:
        """The clean input, nothing found."""
        farthest_A = farthest(rows.x0, self.region)
        first_A = torch.full_like(farthest_A, self.region.ball.norm == "l0")
        nearest_A = torch.full_like(farthest_A, torch.inf)
        memory = {"radius": first_A, "nearest": nearest_A, "farthest": farthest_A}
        return replace(rows, x=rows.x0, memory=memory)

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """The negative margin."""
        return -margin(logits_AK, rows.y_A)

    def step(self, rows: Rows, seen: Seen, iteration: int) -> Rows:
        """Set the radius, step, project."""
        assert seen.grad is not None
        region, memory = self.region, dict(rows.memory)
        delta = rows.x - rows.x0
        size_A = region.ball.distance(delta).float()
        memory["nearest"] = torch.where(seen.errs_A, memory["nearest"].minimum(size_A), memory["nearest"])
        share = iteration / self.steps
        rate = annealed(self.rate, _LAST_RATE, share)
        if region.ball.norm == "l0":
            radius_A = _count_allowed(memory, seen.errs_A, rate)
        else:
            slope_A = (seen.grad * region.ball.ascent(seen.grad)).flatten(1).sum(1)
            boundary_A = size_A + (seen.loss_A.abs() / slope_A).nan_to_num(nan=torch.inf, posinf=torch.inf)
            radius_A = _radius(memory, seen.errs_A, rate, boundary_A)
        memory["radius"] = radius_A.minimum(memory["farthest"])
        length = annealed(self.step_size, _LAST_STEP * self.step_size, share)
        moved = BALLS["l2"].ascent(seen.grad).mul_(length).add_(delta)
        x = onto_ball(moved, memory["radius"], region.ball).add_(rows.x0).clamp_(region.low, region.high)
        return replace(rows, x=x, memory=memory)


def _radius(memory: dict[str, Tensor], errs_A: Tensor, rate: float, boundary_A: Tensor) -> Tensor:
    """Smaller after an error, at most that of the nearest; larger otherwise; the boundary's before any.

    It grows even then: the paper lets it fall back to the linear boundary, where two classes that take
    turns in being the nearest can keep an iterate going to and fro for good.
    """
    radius_A, nearest_A = memory["radius"], memory["nearest"]
    larger_A = radius_A * (1 + rate)
    outward_A = torch.where(nearest_A.isfinite(), larger_A, larger_A.maximum(boundary_A))
    return torch.where(errs_A, (radius_A * (1 - rate)).minimum(nearest_A), outward_A)


def _count_allowed(memory: dict[str, Tensor], errs_A: Tensor, rate: float) -> Tensor:
    """The same in whole values, at least one fewer or one more."""
    radius_A = memory["radius"]
    fewer_A = (radius_A - 1).minimum((radius_A * (1 - rate)).floor()).minimum(memory["nearest"])
    more_A = (radius_A + 1).maximum((radius_A * (1 + rate)).floor())
    return torch.where(errs_A, fewer_A, more_A).clamp_min(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FMN(ImageAttack):
    """`steps` steps; `step_size` in widths of the box, `rate` the first change of the radius."""

    name: ClassVar[str] = "fmn"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2", "l1", "l0"})
    closest: ClassVar[bool] = True

    steps: int = 100
    step_size: float = 1.0
    rate: float = 0.05

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size) < 1 or self.step_size <= 0 or not 0 < self.rate < 1:
            raise ValueError(f"steps, batch_size and step_size are positive, rate lies in (0, 1): {self}")

    def rules(self, region: Region, *, seed: int) -> Sequence[Rule]:
        """The clean look, then the steps."""
        length = self.step_size * (region.high - region.low)
        follow = FollowBoundary(
            name=self.name, region=region, steps=self.steps, step_size=length, rate=self.rate
        )
        return [Clean(), follow]
