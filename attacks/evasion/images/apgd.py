"""Auto-PGD (Croce & Hein, arXiv:2003.01690): ascent with momentum that finds its own step size.

Steps begin at twice the radius and are halved, with a return to the best point so far, at checkpoints where
the loss rose in fewer than three quarters of the steps, or where nothing changed since the last one. The
loss is the cross-entropy (`ce`), DLR (`dlr`) or, towards each of the nearest classes in turn, targeted DLR
(`targeted`). In L1 steps are sparse and the radius shrinks to eps in three phases (arXiv:2103.01208).

Shapes: x images B×C×H×W or vectors B×W, y_B int64, eps in the units of x. Legend: A active rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from raiaudit.attacks.evasion.engine.balls import per_row
from raiaudit.attacks.evasion.engine.region import Region
from raiaudit.attacks.evasion.engine.rows import Rows
from raiaudit.attacks.evasion.engine.rules import Clean, Rule, Seen
from raiaudit.attacks.evasion.images.apgd_sparse import SparseAutoPGD
from raiaudit.attacks.evasion.images.ascents import AscentRule, Objective, fresh_memory, remembered
from raiaudit.attacks.evasion.images.attack import ImageAttack
from raiaudit.attacks.threats import Norm

__all__ = ["APGD", "AutoPGD", "apgd_rule", "checkpoints"]

_RISING = 0.75  # share of steps that must raise the loss, or the step size is halved
_MOMENTUM = 0.75  # weight of the new step against the last move


def checkpoints(steps: int) -> tuple[int, ...]:
    """Iterations at which the step size is looked at: gaps of 22 % of the steps, falling by 3 % to 6 %."""
    first, least, fall = (max(int(share * steps), 1) for share in (0.22, 0.06, 0.03))
    found, gap, at = [], first, first
    while at < steps:
        found.append(at)
        gap = max(gap - fall, least)
        at += gap
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoPGD(AscentRule):
    """The rule in L∞ and L2: one run for each try, from its own uniform point of the region."""

    def start(self, rows: Rows) -> Rows:
        """A uniform point of the region; the first step is 2·eps long."""
        x = self.region.random(rows.x0, rows.ids_A, rows.try_A, seed=self.seed, stream=self.name)
        memory = fresh_memory(self, rows, x)
        like_A = memory["best_loss"]
        memory |= {
            "before": x,
            "loss": torch.full_like(like_A, torch.inf),
            "rises": torch.zeros_like(like_A),
            "best_loss_then": like_A,
            "halved": torch.ones_like(rows.y_A, dtype=torch.bool),
            "step": torch.full_like(like_A, 2 * self.region.eps),
        }
        return replace(rows, x=x, memory=memory)

    def step(self, rows: Rows, seen: Seen, iteration: int) -> Rows:
        """Remember the best, look at the step size where it is time, and move."""
        assert seen.grad is not None
        memory = remembered(rows, seen)
        memory["rises"] = memory["rises"] + (seen.loss_A > memory["loss"])
        memory["loss"] = seen.loss_A
        gap = {after: after - before for before, after in pairwise((0, *checkpoints(self.steps)))}
        x, grad = rows.x, seen.grad
        if iteration in gap:
            back_A = _reduced(memory, gap[iteration])
            x = torch.where(per_row(back_A, x), memory["best"], x)
            grad = torch.where(per_row(back_A, x), memory["best_grad"], grad)
        towards = self.region.ball.ascent(grad).mul_(per_row(memory["step"], x)).add_(x)
        moved = self.region.project(towards, rows.x0)
        if iteration:
            moved = x + _MOMENTUM * (moved - x) + (1 - _MOMENTUM) * (x - memory["before"])
            moved = self.region.project(moved, rows.x0)
        memory["before"] = x
        return replace(rows, x=moved, memory=memory)


def _reduced(memory: dict[str, Tensor], gap: int) -> Tensor:
    """At a checkpoint: which rows halve their step and go back (bool A); changes the memory."""
    slow_A = memory["rises"] <= _RISING * gap
    stuck_A = ~memory["halved"] & (memory["best_loss_then"] >= memory["best_loss"])
    halve_A = slow_A | stuck_A
    memory["step"] = torch.where(halve_A, memory["step"] / 2, memory["step"])
    memory["halved"] = halve_A
    memory["best_loss_then"] = memory["best_loss"]
    memory["rises"] = torch.zeros_like(memory["rises"])
    return halve_A


def apgd_rule(
    name: str, region: Region, *, objective: Objective, steps: int, tries: int, seed: int
) -> AscentRule:
    """The form of Auto-PGD for the region's norm."""
    form = SparseAutoPGD if region.ball.norm == "l1" else AutoPGD
    return form(name=name, region=region, steps=steps, objective=objective, tries=tries, seed=seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class APGD(ImageAttack):
    """`steps` steps from each of `restarts` starts, or towards each of the `targets` likeliest classes."""

    name: ClassVar[str] = "apgd"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2", "l1"})

    objective: Objective = "ce"
    steps: int = 100
    restarts: int = 1
    targets: int = 9

    def __post_init__(self) -> None:
        if self.objective not in ("ce", "dlr", "targeted"):
            raise ValueError(f"objective is ce, dlr or targeted, not {self.objective!r}")
        if min(self.steps, self.restarts, self.targets, self.batch_size) < 1:
            raise ValueError(f"steps, restarts, targets and batch_size must be at least 1: {self}")

    def rules(self, region: Region, *, seed: int) -> Sequence[Rule]:
        """The clean look, then the runs."""
        tries = self.targets if self.objective == "targeted" else self.restarts
        name = f"{self.name}-{'t' if self.objective == 'targeted' else self.objective}"
        run = apgd_rule(name, region, objective=self.objective, steps=self.steps, tries=tries, seed=seed)
        return [Clean(), run]
