"""DeepFool (Moosavi-Dezfooli et al., arXiv:1511.04599) in L∞ and L2: an error near the clean input, fast.

The model is linearised at the iterate, and the iterate moves to the nearest of the linear boundaries,
until it errs: a handful of steps. The sum of the moves goes `overshoot` too far, and is clipped to the box.
Where that holds it up (the paper knows no box), the moves become the shortest within the box.

Shapes: x images B×C×H×W or vectors B×W, y_B int64, eps in the units of x. Legend: A active rows, K classes,
J boundaries linearised at once.
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
from raiaudit.attacks.evasion.engine.rules import Clean, Rule, Seen, clearly_errs
from raiaudit.attacks.evasion.images.attack import ImageAttack
from raiaudit.attacks.evasion.images.projections import nearest_plane, onto_plane
from raiaudit.attacks.threats import Norm

__all__ = ["DeepFool", "ToNearestBoundary"]

_PATIENCE = 10  # steps, after which the box is what holds an example up
_CLEARLY = 5e-5  # of the largest logit: the margin to end below zero by


@dataclass(frozen=True, slots=True, kw_only=True)
class ToNearestBoundary(Rule):
    """The rule: boundaries to the `rivals` classes that are likeliest at the clean input."""

    name: str
    region: Region
    steps: int
    rivals: int
    overshoot: float
    minimal: bool = True

    def start(self, rows: Rows) -> Rows:
        """The clean input, and which classes to look at."""
        others_AK = rows.clean_AK.scatter(1, rows.y_A[:, None], -torch.inf)
        rivals_AJ = others_AK.topk(min(self.rivals, others_AK.shape[1] - 1), dim=1).indices
        return replace(rows, x=rows.x0, memory={"rivals": rivals_AJ, "total": torch.zeros_like(rows.x0)})

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """The rivals' logits less that of the label, loss_AJ."""
        return logits_AK.gather(1, rows.memory["rivals"]) - logits_AK.gather(1, rows.y_A[:, None])

    def step(self, rows: Rows, seen: Seen, iteration: int) -> Rows:
        """Over the nearest linear boundary; who errs clearly is done."""
        on_A = ~clearly_errs(seen.logits_AK, rows.y_A)
        rows, seen = rows.take(on_A), seen.take(on_A)
        goal_A = _CLEARLY * seen.logits_AK.abs().amax(1)
        assert seen.grad is not None
        region = self.region
        excess_A, grad = nearest_plane(seen.loss_A, seen.grad, region.ball)
        direction = region.ball.ascent(grad)
        slope_A = (grad * direction).flatten(1).sum(1)
        if iteration < _PATIENCE:
            away_A = ((goal_A - excess_A) / slope_A).nan_to_num(nan=0.0, posinf=0.0)
            total = rows.memory["total"] + direction * per_row(away_A, direction)
        else:
            norm, low, high = region.ball.norm, region.low, region.high
            move = onto_plane(rows.x, grad, goal_A - excess_A, norm=norm, low=low, high=high)
            total = move.add_(rows.x).sub_(rows.x0)
        x = (rows.x0 + (1 + self.overshoot) * total).clamp_(region.low, region.high)
        return replace(rows, x=x, memory=rows.memory | {"total": total})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepFool(ImageAttack):
    """At most `steps` steps, among the `candidates` likeliest classes, the label among them."""

    name: ClassVar[str] = "deepfool"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2"})
    closest: ClassVar[bool] = True

    steps: int = 50
    candidates: int = 10
    overshoot: float = 0.02

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size) < 1 or self.candidates < 2 or self.overshoot < 0:
            raise ValueError(
                f"steps and batch_size are at least 1, candidates 2, overshoot not negative: {self}"
            )

    def rules(self, region: Region, *, seed: int) -> Sequence[Rule]:
        """The clean look, then the steps."""
        steps = ToNearestBoundary(
            name=self.name,
            region=region,
            steps=self.steps,
            rivals=self.candidates - 1,
            overshoot=self.overshoot,
        )
        return [Clean(), steps]
