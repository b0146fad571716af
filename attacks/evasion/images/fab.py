"""The fast adaptive boundary attack (Croce & Hein, arXiv:1907.02044) in L∞, L2 and L1: the nearest error.

At each iterate the model is linearised; both the iterate and the clean input are projected onto the
boundary of the linear model within the box, and the next iterate lies between the two, a little beyond. An
iterate that errs is drawn back towards the clean input, from where the next linearisation sees the boundary
better. At the end, a short search between the clean input and the nearest error.

`targets` (FAB-T) linearises one boundary, that of a target class; without, the nearest of all K − 1, at
K − 1 backwards a step. An iteration takes two looks: one with the gradient and one that tells whether the
new iterate errs. They are not one: most iterates do err, and the gradient is wanted where they are drawn
back to.

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
from raiaudit.attacks.evasion.engine.rules import Clean, Rule, Seen, margin
from raiaudit.attacks.evasion.images.ascents import target_classes
from raiaudit.attacks.evasion.images.attack import ImageAttack
from raiaudit.attacks.evasion.images.projections import nearest_plane, onto_plane
from raiaudit.attacks.threats import Norm
from raiaudit.errors import UsageError

__all__ = ["FAB", "BoundarySteps"]

_TOWARDS_CLEAN = 0.1  # the largest weight of the clean input's projection (alpha_max)
_BEYOND = 1.05  # how far past the linear boundary to go (eta)
_BACK = 0.9  # where between the clean input and an error to go on from (beta)

_SEARCH_LOOKS = 3
_CLEARLY = 5e-5  # of the largest clean logit: the margin the search aims below zero


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundarySteps(Rule):
    """The rule: `iterations` steps for each try; a try is a target class, or a start.

    Later starts than the first are drawn within half of eps, as in the paper.
    """

    name: str
    region: Region
    iterations: int
    tries: int
    targeted: bool
    seed: int
    minimal: bool = True

    @property
    def steps(self) -> int:  # type: ignore[override]  # read-only, as all of a frozen rule
        """Two looks an iteration, and those of the final search."""
        return 2 * self.iterations + _SEARCH_LOOKS - 1

    def start(self, rows: Rows) -> Rows:
        """The clean input, or a random point halfway to the edge of the region."""
        x = rows.x0
        if not self.targeted and bool((rows.try_A > 0).any()):
            drawn = self.region.random(rows.x0, rows.ids_A, rows.try_A, seed=self.seed, stream=self.name)
            x = torch.where(per_row(rows.try_A > 0, x), torch.lerp(rows.x0, drawn, 0.5), x)
        memory = {
            "nearest": rows.x0,
            "nearest_distance": torch.full(rows.y_A.shape, torch.inf, dtype=torch.float64, device=x.device),
            "nearest_margin": rows.clean_AK.new_zeros(rows.y_A.shape),
        }
        if self.targeted:
            memory["target"] = target_classes(rows)
        return replace(rows, x=x, memory=memory)

    def needs_gradient(self, iteration: int) -> bool:
        """At every other look, until the search."""
        return iteration < 2 * self.iterations and iteration % 2 == 0

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """The target's logit less the label's, loss_A; or so of every other class, loss_AJ."""
        true_A1 = logits_AK.gather(1, rows.y_A[:, None])
        if self.targeted:
            return (logits_AK.gather(1, rows.memory["target"][:, None]) - true_A1).squeeze(1)
        others_J = torch.arange(logits_AK.shape[1] - 1, device=logits_AK.device)
        others_AJ = others_J + (others_J >= rows.y_A[:, None])
        return logits_AK.gather(1, others_AJ) - true_A1

    def step(self, rows: Rows, seen: Seen, iteration: int) -> Rows:
        """To the linear boundary; or back, after an error; or along the final search."""
        if iteration >= 2 * self.iterations:
            return self._search_on(rows, seen)
        rows = self._noted(rows, seen)
        if seen.grad is not None:
            return self._to_boundary(rows, seen)
        if iteration == 2 * self.iterations - 1:
            return self._search(rows)
        back = torch.lerp(rows.x0, rows.x, _BACK)
        return replace(rows, x=torch.where(per_row(seen.errs_A, back), back, rows.x))

    def _noted(self, rows: Rows, seen: Seen) -> Rows:
        """The nearest error of this try so far, with its margin."""
        memory = dict(rows.memory)
        distance_A = self.region.distance(rows.x, rows.x0)
        nearer_A = seen.errs_A & (distance_A < memory["nearest_distance"])
        memory["nearest"] = torch.where(per_row(nearer_A, rows.x), rows.x, memory["nearest"])
        memory["nearest_distance"] = torch.where(nearer_A, distance_A, memory["nearest_distance"])
        memory["nearest_margin"] = torch.where(
            nearer_A, margin(seen.logits_AK, rows.y_A), memory["nearest_margin"]
        )
        return replace(rows, memory=memory)

    def _to_boundary(self, rows: Rows, seen: Seen) -> Rows:
        """Between the projections of the iterate and of the clean input onto the linear boundary."""
        assert seen.grad is not None
        excess_A, grad = seen.loss_A, seen.grad
        if not self.targeted:
            excess_A, grad = nearest_plane(excess_A, grad, self.region.ball)
        ball, low, high = self.region.ball, self.region.low, self.region.high
        there_A = (grad * (rows.x0 - rows.x)).flatten(1).sum(1)
        moves = [
            onto_plane(x, grad, -gap_A, norm=ball.norm, low=low, high=high)
            for x, gap_A in ((rows.x, excess_A), (rows.x0, excess_A + there_A))
        ]
        own_A, clean_A = (ball.distance(move) for move in moves)
        weight_A = (own_A / (own_A + clean_A)).nan_to_num_(nan=0.0).clamp_max_(_TOWARDS_CLEAN).to(grad.dtype)
        own, clean = rows.x + _BEYOND * moves[0], rows.x0 + _BEYOND * moves[1]
        return replace(rows, x=torch.lerp(own, clean, per_row(weight_A, own)).clamp_(low, high))

    def _search(self, rows: Rows) -> Rows:
        """Begin to search the line from the clean input (0) to the nearest error (1) for the boundary."""
        memory = dict(rows.memory)
        clean_A = margin(rows.clean_AK, rows.y_A)
        memory |= {
            "right": torch.zeros_like(clean_A),
            "right_margin": clean_A,
            "wrong": torch.ones_like(clean_A),
            "wrong_margin": memory["nearest_margin"],
        }
        return _between(replace(rows, memory=memory))

    def _search_on(self, rows: Rows, seen: Seen) -> Rows:
        """The next point of the line: regula falsi, its kept end discounted (the Illinois rule)."""
        memory = dict(rows.memory)
        at_A, margin_A = memory["at"], margin(seen.logits_AK, rows.y_A)
        for end, moved_A in (("wrong", seen.errs_A), ("right", ~seen.errs_A)):
            memory[f"{end}_margin"] = torch.where(moved_A, margin_A, memory[f"{end}_margin"] / 2)
            memory[end] = torch.where(moved_A, at_A, memory[end])
        return _between(replace(rows, memory=memory))


def _between(rows: Rows) -> Rows:
    """Where the margin, were it linear between the two ends, would just be negative."""
    memory = dict(rows.memory)
    goal_A = -_CLEARLY * rows.clean_AK.abs().amax(1)
    fall_A = memory["right_margin"] - memory["wrong_margin"]
    share_A = ((memory["right_margin"] - goal_A) / fall_A).nan_to_num(nan=1.0).clamp(0.0, 1.0)
    memory["at"] = torch.lerp(memory["right"], memory["wrong"], share_A)
    x = torch.lerp(rows.x0, memory["nearest"], per_row(memory["at"].to(rows.x0.dtype), rows.x0))
    return replace(rows, x=x, memory=memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class FAB(ImageAttack):
    """`steps` steps from each of `restarts` starts; with `targets`, towards so many likeliest classes."""

    name: ClassVar[str] = "fab"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2", "l1"})
    closest: ClassVar[bool] = True

    steps: int = 100
    restarts: int = 1
    targets: int | None = None

    def __post_init__(self) -> None:
        targets = 1 if self.targets is None else self.targets
        if min(self.steps, self.restarts, targets, self.batch_size) < 1:
            raise ValueError(f"steps, restarts, targets and batch_size must be at least 1: {self}")
        if self.restarts > 1 and self.targets is not None:
            raise ValueError("targets begin at the clean input: choose targets or restarts")

    def rules(self, region: Region, *, seed: int) -> Sequence[Rule]:
        """The clean look, then the steps."""
        if self.restarts > 1 and region.eps == torch.inf:
            raise UsageError("restarts begin within eps", remedy="state a finite eps, or restarts: 1")
        steps = BoundarySteps(
            name="fab" if self.targets is None else "fab-t",
            region=region,
            iterations=self.steps,
            tries=self.targets or self.restarts,
            targeted=self.targets is not None,
            seed=seed,
        )
        return [Clean(), steps]
