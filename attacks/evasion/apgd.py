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
from typing import ClassVar, Literal

import torch
from torch import Tensor

from raiaudit.attacks.evasion.balls import per_row
from raiaudit.attacks.evasion.images import ImageAttack
from raiaudit.attacks.evasion.losses import cross_entropy, dlr, targeted_dlr
from raiaudit.attacks.evasion.region import Region
from raiaudit.attacks.evasion.rows import Rows
from raiaudit.attacks.evasion.rules import Clean, Rule, Seen
from raiaudit.attacks.threats import Norm

__all__ = ["APGD", "AutoPGD", "Loss", "checkpoints", "target_classes"]

Loss = Literal["ce", "dlr", "targeted"]

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


def target_classes(rows: Rows) -> Tensor:
    """target_A: of the classes that are not the label, the one whose clean logit ranks `try_A`-th."""
    others_AK = rows.clean_AK.scatter(1, rows.y_A[:, None], -torch.inf)
    ranked_AK = others_AK.argsort(dim=1, descending=True, stable=True)
    return ranked_AK.gather(1, rows.try_A[:, None]).squeeze(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoPGD(Rule):
    """The rule: one run of `steps` for each try, from its own uniform point of the region."""

    name: str
    region: Region
    steps: int
    objective: Loss
    tries: int
    seed: int

    @property
    def targeted(self) -> bool:  # type: ignore[override]  # read-only, as all of a frozen rule
        """Whether the tries are target classes."""
        return self.objective == "targeted"

    def start(self, rows: Rows) -> Rows:
        """A uniform point of the region; the first step is 2·eps long."""
        x = self.region.random(rows.x0, rows.ids_A, rows.try_A, seed=self.seed, stream=self.name)
        nothing_A = torch.full_like(rows.y_A, -torch.inf, dtype=x.dtype)
        memory = {
            "before": x,
            "best": x,
            "best_grad": torch.zeros_like(x),
            "best_loss": nothing_A,
            "best_loss_then": nothing_A,
            "loss": -nothing_A,
            "rises": torch.zeros_like(nothing_A),
            "halved": torch.ones_like(rows.y_A, dtype=torch.bool),
            "step": torch.full_like(nothing_A, 2 * self.region.eps),
        }
        if self.objective == "targeted":
            memory["target"] = target_classes(rows)
        return replace(rows, x=x, memory=memory)

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """The objective, loss_A."""
        if self.objective == "targeted":
            return targeted_dlr(logits_AK, rows.y_A, rows.memory["target"])
        return (cross_entropy if self.objective == "ce" else dlr)(logits_AK, rows.y_A)

    def step(self, rows: Rows, seen: Seen, iteration: int) -> Rows:
        """Remember the best, look at the step size where it is time, and move."""
        assert seen.grad is not None
        memory = _remembered(rows, seen)
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


def _remembered(rows: Rows, seen: Seen) -> dict[str, Tensor]:
    """The memory with what this look showed."""
    memory, loss_A, grad = dict(rows.memory), seen.loss_A, seen.grad
    assert grad is not None
    better_A = loss_A > memory["best_loss"]
    better = per_row(better_A, rows.x)
    memory["best"] = torch.where(better, rows.x, memory["best"])
    memory["best_grad"] = torch.where(better, grad, memory["best_grad"])
    memory["best_loss"] = torch.where(better_A, loss_A, memory["best_loss"])
    memory["rises"] = memory["rises"] + (loss_A > memory["loss"])
    memory["loss"] = loss_A
    return memory


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


@dataclass(frozen=True, slots=True, kw_only=True)
class APGD(ImageAttack):
    """`steps` steps from each of `restarts` starts, or towards each of the `targets` likeliest classes."""

    name: ClassVar[str] = "apgd"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2", "l1"})

    objective: Loss = "ce"
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
        targeted = self.objective == "targeted"
        tries = self.targets if targeted else self.restarts
        name = f"{self.name}-{'t' if targeted else self.objective}"
        run = AutoPGD(
            name=name, region=region, steps=self.steps, objective=self.objective, tries=tries, seed=seed
        )
        return [Clean(), run]
