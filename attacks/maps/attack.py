"""A small change of the input that leaves the answer and moves the explanation.

A. Ghorbani, A. Abid, J. Zou, arXiv:1710.10547, top-k attack: sign ascent, within an L∞ ball, on minus the
share of the map that lies on the features most relevant before; a step that changes the predicted class is
not taken, and the next one is half as long. The slope is that of the model with softplus for ReLU
(softened.py); labels and maps of every step are those of the model itself, and the step whose map kept the
fewest of the most relevant features is the one returned.

Two aims: `mass`, the paper's, and `edge`, which pushes features over the edge between the most relevant and
the rest: Σ over the former of σ((|m| − edge) / (edge / 10)). The first moves maps over many pixels, the
second maps over few columns, where a share may fall without any feature changing its place.

Shapes: B examples, F features; top_BF the most relevant features before, bool; x B×….
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from torch import Tensor

from raiaudit.attacks.evasion.engine.balls import per_row
from raiaudit.attacks.maps.softened import softened
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from raiaudit.attacks.maps.neighbours import Neighbours

__all__ = ["Aim", "Importance", "Inputs", "MapAttack", "Moved", "climb", "labels_of", "top_features"]

Aim = Literal["mass", "edge"]

Importance = Callable[[Tensor, Tensor, Tensor, bool], Tensor]
"""(points R×… that require gradients, rows_R, target_R, whether to keep the graph) → scores_RF."""


class Inputs(Protocol):
    """`x` B×…, and logits_RK of points R×… that stand in the place of the inputs `rows_R`."""

    @property
    def x(self) -> Tensor:
        """The clean inputs."""
        ...

    @property
    def logits(self) -> Callable[[Tensor, Tensor], Tensor]:
        """(points R×…, rows_R) → logits_RK."""
        ...


_CHUNK = 64
_SHARPNESS = 0.1  # of the edge, in units of it
_REACH = 2.5  # all steps together, in units of eps: from anywhere in the ball to anywhere


@dataclass(frozen=True, slots=True)
class Moved:
    """`x` B×…: the input with the most distant map, the clean one where none was; `no_gradient_B` where the
    map had no slope at any step, so that the attack could not know where to go.
    """

    x: Tensor
    no_gradient_B: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class MapAttack:
    """`steps` steps of 2.5·eps/steps; `beta` of the softplus."""

    steps: int
    beta: float
    aim: Aim = "mass"

    def __call__(
        self,
        view: Inputs,
        target_B: Tensor,
        top_BF: Tensor,
        near: Neighbours,
        start: Tensor,
        *,
        importance: Importance,
    ) -> Moved:
        """One try for every input of the view from `start` B×…: inputs of the ball that keep the label."""
        parts = [
            self._some(view, rows, target_B[rows], top_BF[rows], near, start[rows], importance)
            for rows in torch.split(torch.arange(len(target_B), device=target_B.device), _CHUNK)
        ]
        return Moved(torch.cat([part.x for part in parts]), torch.cat([part.no_gradient_B for part in parts]))

    def _some(
        self,
        view: Inputs,
        rows_R: Tensor,
        target_R: Tensor,
        top_RF: Tensor,
        near: Neighbours,
        start: Tensor,
        importance: Importance,
    ) -> Moved:
        x0, relaxed, x = view.x[rows_R], start, start
        length_R = torch.full((len(x0),), _REACH / self.steps, device=x0.device)
        best, least_R = x0, top_RF.sum(1) + 1.0
        dead_R = torch.ones(len(x0), dtype=torch.bool, device=x0.device)
        for step in range(self.steps + 1):
            kept_R = self._kept(view, x, rows_R, target_R, top_RF, importance)
            better_R = kept_R < least_R
            best = torch.where(per_row(better_R, x), x, best)
            least_R = torch.where(better_R, kept_R, least_R)
            if step == self.steps:
                break
            slope = self._slope(view, x, rows_R, target_R, top_RF, importance)
            dead_R &= ~(slope.flatten(1) != 0).any(1)
            relaxed, x, accepted_R = _taken(view, rows_R, target_R, near, x0, (relaxed, x), slope, length_R)
            length_R = torch.where(accepted_R, length_R, length_R / 2)
        return Moved(best, dead_R)

    def _slope(
        self,
        view: Inputs,
        x: Tensor,
        rows_R: Tensor,
        target_R: Tensor,
        top_RF: Tensor,
        importance: Importance,
    ) -> Tensor:
        """Where relevance leaves the features that had it.

        Raises `CapabilityError` for a model with an operation that can be differentiated only once.
        """
        point = x.detach().requires_grad_()
        with torch.enable_grad(), softened(self.beta):
            scores_RF = importance(point, rows_R, target_R, True)
            left = _AIMS[self.aim](scores_RF, top_RF).sum()
            if not left.requires_grad:  # the map of a linear model is a constant
                return torch.zeros_like(x)
            try:
                (slope,) = torch.autograd.grad(-left, point)
            except RuntimeError as error:
                raise CapabilityError(
                    f"the model cannot be differentiated twice ({str(error).splitlines()[0]})",
                    where="the attack on the map",
                    remedy="leave explanations.stability out for this model",
                ) from error
        return slope

    def _kept(
        self,
        view: Inputs,
        x: Tensor,
        rows_R: Tensor,
        target_R: Tensor,
        top_RF: Tensor,
        importance: Importance,
    ) -> Tensor:
        """How many of the features stayed among the most relevant, and by their share among equals."""
        point = x.detach().requires_grad_()
        with torch.enable_grad():
            scores_RF = importance(point, rows_R, target_R, False).detach()
        still_RF = top_features(scores_RF, int(top_RF[0].sum())) & top_RF
        return still_RF.sum(1) + _mass(scores_RF, top_RF)


def _mass(scores_RF: Tensor, top_RF: Tensor) -> Tensor:
    """The share of the map that lies on the features, in [0, 1]."""
    size_RF = scores_RF.abs()
    return (size_RF * top_RF).sum(1) / size_RF.sum(1).clamp_min(torch.finfo(size_RF.dtype).tiny)


def _edge(scores_RF: Tensor, top_RF: Tensor) -> Tensor:
    """A smooth count of the features above the edge; the edge moves with the map."""
    size_RF, count = scores_RF.abs(), int(top_RF[0].sum())
    ranked_RF = size_RF.sort(1, descending=True).values
    edge_R1 = ranked_RF[:, count - 1 : count + 1].mean(1, keepdim=True)
    width_R1 = (edge_R1 * _SHARPNESS).clamp_min(torch.finfo(size_RF.dtype).tiny)
    return (torch.sigmoid((size_RF - edge_R1) / width_R1) * top_RF).sum(1)


_AIMS: dict[Aim, Callable[[Tensor, Tensor], Tensor]] = {"mass": _mass, "edge": _edge}


def _taken(
    view: Inputs,
    rows_R: Tensor,
    target_R: Tensor,
    near: Neighbours,
    x0: Tensor,
    at: tuple[Tensor, Tensor],
    direction: Tensor,
    length_R: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The step from (relaxed, x) where it leaves the label, and which were taken."""
    relaxed, x = at
    want = near.moved(relaxed, direction, length_R, x0)
    candidate = near.settled(want, x0)
    same_R = labels_of(view, candidate, rows_R) == target_R
    taken = per_row(same_R, x)
    return torch.where(taken, want, relaxed), torch.where(taken, candidate, x), same_R


def labels_of(view: Inputs, x: Tensor, rows_R: Tensor) -> Tensor:
    """Predicted classes of the model itself."""
    with torch.no_grad():
        return view.logits(x, rows_R).argmax(1)


def top_features(scores_BF: Tensor, count: int) -> Tensor:
    """Which features have the `count` largest |scores|, bool; of equals the first."""
    order_BF = scores_BF.abs().argsort(dim=1, descending=True, stable=True)
    mask_BF = torch.zeros(scores_BF.shape, dtype=torch.bool, device=scores_BF.device)
    return mask_BF.scatter_(1, order_BF[:, :count], True)


def climb(view: Inputs, label_B: Tensor, near: Neighbours, *, steps: int) -> Tensor:
    """PGD (arXiv:1706.06083) from the input: the last of `steps` ascents of the cross-entropy, B×….

    Whether or not the answer changed: an attack that keeps only successes would leave the rest unmoved.
    """
    ends = []
    for rows in torch.split(torch.arange(len(label_B), device=label_B.device), _CHUNK):
        x0, y = view.x[rows], label_B[rows]
        relaxed, length = x0, torch.full((len(x0),), _REACH / steps, device=x0.device)
        for _ in range(steps):
            point = near.settled(relaxed, x0).detach().requires_grad_()
            with torch.enable_grad():
                loss = torch.nn.functional.cross_entropy(view.logits(point, rows), y, reduction="sum")
                (slope,) = torch.autograd.grad(loss, point)
            relaxed = near.moved(relaxed, slope, length, x0)
        ends.append(near.settled(relaxed, x0))
    return torch.cat(ends)
