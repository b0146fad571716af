"""Carlini & Wagner's L2 attack (arXiv:1608.04644): the nearest error.

Adam on ‖x − x0‖² + c·max(margin, 0), where x = tanh of a free variable, scaled to the box. The weight c is
sought for each example by itself, in `rounds`: times ten until the model errs, then halfway between the
largest c that failed and the smallest that did not. A round ends after `steps` steps, or sooner where a
tenth of them brought nothing; an example then goes on to its own next round, and is done after its last.

Shapes: x images B×C×H×W or vectors B×W, y_B int64, eps in the units of x. Legend: A active rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from raiaudit.attacks.evasion.engine.balls import per_row
from raiaudit.attacks.evasion.engine.region import Region
from raiaudit.attacks.evasion.engine.rows import Rows
from raiaudit.attacks.evasion.engine.rules import Clean, Rule, Seen, margin
from raiaudit.attacks.evasion.images.attack import ImageAttack
from raiaudit.attacks.threats import Norm

__all__ = ["CarliniWagner", "WeighedDistance"]

_INSIDE = 0.999999  # how much of the box tanh spans at the clean input, where its inverse is finite
_PROGRESS = 1e-4  # the share by which the lowest objective must fall from look to look
_PATIENCE = 20  # steps; Adam swings over the boundary for shorter than that
_BETAS, _TINY = (0.9, 0.999), 1e-8  # Adam's


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighedDistance(Rule):
    """The rule: every row has its own round, its own step of Adam in it, and its own c."""

    name: str
    region: Region
    rounds: int
    round_steps: int
    step_size: float
    first_weight: float
    minimal: bool = True

    @property
    def steps(self) -> int:  # type: ignore[override]  # read-only, as all of a frozen rule
        """Of all rounds together."""
        return self.rounds * self.round_steps

    def start(self, rows: Rows) -> Rows:
        """As near to the clean input as tanh comes."""
        zero_A = torch.zeros(len(rows), device=rows.x0.device)
        memory = {
            "round": zero_A,
            "weight": zero_A + self.first_weight,
            "failed": zero_A,
            "sufficed": zero_A + torch.inf,
        }
        return self._round(rows, memory, zero_A == 0)

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """The negative margin; its gradient is wanted even where it does not count."""
        return -margin(logits_AK, rows.y_A)

    def step(self, rows: Rows, seen: Seen, iteration: int) -> Rows:
        """A step of Adam, or the next round."""
        assert seen.grad is not None
        memory = dict(rows.memory)
        moved = rows.x - rows.x0
        wrong_A = (-seen.loss_A).clamp_min(0).nan_to_num_(nan=0.0)
        objective_A = moved.flatten(1).square().sum(1) + memory["weight"] * wrong_A
        memory["found"] = memory["found"] | seen.errs_A
        memory["step"] = memory["step"] + 1
        over_A = self._over(memory, objective_A)
        counts_A = memory["weight"] * (wrong_A > 0)
        slope = 2 * moved - per_row(counts_A, moved) * seen.grad.nan_to_num(nan=0.0)
        rows = replace(rows, x=self._adam(memory, slope), memory=memory)
        return self._next_round(rows, over_A) if bool(over_A.any()) else rows

    def _over(self, memory: dict[str, Tensor], objective_A: Tensor) -> Tensor:
        """Which rows' rounds end: all steps done, or a tenth of them for nothing."""
        memory["lowest"] = memory["lowest"].minimum(objective_A.nan_to_num(nan=torch.inf))
        look_A = memory["step"] % max(math.ceil(self.round_steps / 10), _PATIENCE) == 0
        stuck_A = look_A & ~(memory["lowest"] < (1 - _PROGRESS) * memory["lowest_then"])
        memory["lowest_then"] = torch.where(look_A, memory["lowest"], memory["lowest_then"])
        return stuck_A | (memory["step"] >= self.round_steps)

    def _adam(self, memory: dict[str, Tensor], slope: Tensor) -> Tensor:
        """The next point of the box."""
        free = memory["free"]
        grad = slope * (1 - free.tanh().square()) * self._half_width
        first, second = _BETAS
        memory["mean"] = torch.lerp(grad, memory["mean"], first)
        memory["square"] = torch.lerp(grad.square(), memory["square"], second)
        mean = memory["mean"] / per_row(1 - first ** memory["step"], grad)
        square = memory["square"] / per_row(1 - second ** memory["step"], grad)
        memory["free"] = free - self.step_size * mean / (square.sqrt() + _TINY)
        return self._in_box(memory["free"])

    def _next_round(self, rows: Rows, over_A: Tensor) -> Rows:
        """The rows whose round is over at the start of their next one; those without a next one are done."""
        memory = dict(rows.memory)
        weight_A, found_A = memory["weight"], memory["found"]
        memory["sufficed"] = torch.where(over_A & found_A, weight_A, memory["sufficed"])
        memory["failed"] = torch.where(over_A & ~found_A, weight_A, memory["failed"])
        between_A = (memory["failed"] + memory["sufficed"]) / 2
        next_A = torch.where(memory["sufficed"].isfinite(), between_A, weight_A * 10)
        memory["weight"] = torch.where(over_A, next_A, weight_A)
        memory["round"] = memory["round"] + over_A
        rows = self._round(rows, memory, over_A)
        return rows.take(rows.memory["round"] < self.rounds)

    def _round(self, rows: Rows, memory: dict[str, Tensor], begins_A: Tensor) -> Rows:
        """The rows, some of them at the first step of a round."""
        fresh = {
            "free": ((rows.x0 - self._middle) / self._half_width * _INSIDE).atanh(),
            "mean": torch.zeros_like(rows.x0),
            "square": torch.zeros_like(rows.x0),
            "step": torch.zeros_like(memory["weight"]),
            "lowest": torch.full_like(memory["weight"], torch.inf),
            "lowest_then": torch.full_like(memory["weight"], torch.inf),
            "found": torch.zeros_like(begins_A),
        }
        memory = memory | {
            name: torch.where(per_row(begins_A, value), value, memory.get(name, value))
            for name, value in fresh.items()
        }
        return replace(rows, x=self._in_box(memory["free"]), memory=memory)

    @property
    def _middle(self) -> float:
        return (self.region.low + self.region.high) / 2

    @property
    def _half_width(self) -> float:
        return (self.region.high - self.region.low) / 2

    def _in_box(self, free: Tensor) -> Tensor:
        region = self.region
        return free.tanh().mul_(self._half_width).add_(self._middle).clamp_(region.low, region.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class CarliniWagner(ImageAttack):
    """At most `steps` steps in each of `rounds`; `first_weight` is the first c."""

    name: ClassVar[str] = "cw"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l2"})
    closest: ClassVar[bool] = True

    steps: int = 1000
    rounds: int = 9
    step_size: float = 1e-2
    first_weight: float = 1e-3

    def __post_init__(self) -> None:
        if min(self.steps, self.rounds, self.batch_size) < 1 or min(self.step_size, self.first_weight) <= 0:
            raise ValueError(f"every option of this attack is positive: {self}")

    def rules(self, region: Region, *, seed: int) -> Sequence[Rule]:
        """The clean look, then the rounds."""
        search = WeighedDistance(
            name=self.name,
            region=region,
            rounds=self.rounds,
            round_steps=self.steps,
            step_size=self.step_size,
            first_weight=self.first_weight,
        )
        return [Clean(), search]
