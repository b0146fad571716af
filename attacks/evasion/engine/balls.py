"""Norm balls: how far an input may move, and the steepest way to move it.

L∞ and L2 as in arXiv:1706.06083, L1 as in arXiv:2103.01208; L0 counts changed values. Everything is
row-wise: B rows of any trailing shape (…), d values in a row, `eps` in the units of the input. No function
changes its arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from raiaudit.attacks.threats import Norm

__all__ = ["BALLS", "Ball", "per_row", "project_l1"]

Draw = Callable[[], Tensor]
"""Random numbers of the shape of the rows, drawn only by the ball that needs them."""


@dataclass(frozen=True, slots=True)
class Ball:
    """The geometry of one norm.

    `norm`: its name in a threat model.
    `ascent(grad)`: the direction of norm 1 that raises a linear loss most, zero where the gradient is
    zero or NaN. `project(delta, eps)`: the nearest point (in L2) of the ball.
    `random(uniform, normal, eps)`: a uniform point of the ball, from draws on [0, 1) and N(0, 1).
    `distance(delta)`: the norm of each row, float64. `ones(d)`: the norm of d ones
    (in L0, where rounding changes no count, 0).
    """

    norm: Norm
    ascent: Callable[[Tensor], Tensor]
    project: Callable[[Tensor, float], Tensor]
    random: Callable[[Draw, Draw, float], Tensor]
    distance: Callable[[Tensor], Tensor]
    ones: Callable[[int], float]


def per_row(values_B: Tensor, like: Tensor) -> Tensor:
    """One value a row, shaped so that it broadcasts against `like`."""
    return values_B.view(-1, *(1,) * (like.dim() - 1))


def _linf_ascent(grad: Tensor) -> Tensor:
    return grad.sign().nan_to_num_(nan=0.0)


def _linf_project(delta: Tensor, eps: float) -> Tensor:
    return delta.clamp(-eps, eps)


def _linf_random(uniform: Draw, normal: Draw, eps: float) -> Tensor:
    return uniform().mul(2 * eps).sub_(eps)


def _linf_distance(delta: Tensor) -> Tensor:
    norm_B: Tensor = torch.linalg.vector_norm(delta.flatten(1).to(torch.float64), ord=math.inf, dim=1)
    return norm_B


def _l2_norm(rows: Tensor) -> Tensor:
    norm_B: Tensor = torch.linalg.vector_norm(rows.flatten(1), dim=1)
    return norm_B


def _l2_ascent(grad: Tensor) -> Tensor:
    # Divided by its largest entry first: the squares of a saturated model's 1e-25 gradient would
    # underflow to zero and make the model look robust.
    grad = grad.nan_to_num(nan=0.0)
    peak = per_row(grad.flatten(1).abs().amax(1), grad)
    scaled = grad / peak.clamp_min(torch.finfo(grad.dtype).tiny)
    return scaled / per_row(_l2_norm(scaled), grad).clamp_min(0.5)


def _l2_project(delta: Tensor, eps: float) -> Tensor:
    norm = per_row(_l2_norm(delta), delta).clamp_min(torch.finfo(delta.dtype).tiny)
    return delta * (eps / norm).clamp_max(1.0)


def _l2_random(uniform: Draw, normal: Draw, eps: float) -> Tensor:
    # A Gaussian gives the direction; the radius of a uniform point of the d-ball is eps·U^(1/d).
    direction = normal()
    radius_B = eps * uniform().flatten(1)[:, 0] ** (1 / math.prod(direction.shape[1:]))
    norm_B = _l2_norm(direction).clamp_min(torch.finfo(direction.dtype).tiny)
    return direction * per_row(radius_B / norm_B, direction)


def _l2_distance(delta: Tensor) -> Tensor:
    return _l2_norm(delta.to(torch.float64))


def _l1_ascent(grad: Tensor) -> Tensor:
    flat = grad.nan_to_num(nan=0.0).flatten(1)
    steepest_B1 = flat.abs().argmax(1, keepdim=True)
    return torch.zeros_like(flat).scatter_(1, steepest_B1, flat.gather(1, steepest_B1).sign()).view_as(grad)


def _l1_project(delta: Tensor, eps: float) -> Tensor:
    return project_l1(delta, eps, torch.full_like(delta, torch.inf))


def project_l1(delta: Tensor, eps: float, room: Tensor) -> Tensor:
    """The nearest point of the L1 ball whose every |value| is at most `room` (arXiv:2103.01208).

    It is soft thresholding, capped: |value| = min(max(|delta| − level, 0), room), at the level that leaves
    a norm of eps. The norm falls piecewise linearly in the level, with kinks at |delta| and |delta| − room.
    """
    size, cap = delta.abs().flatten(1).double(), room.flatten(1).double()
    kinks = torch.cat([size, size - cap, torch.zeros_like(size[:, :1])], dim=1).clamp_min(0)
    slope = torch.cat([torch.ones_like(size), -torch.ones_like(size), torch.zeros_like(size[:, :1])], dim=1)
    kinks, order = kinks.sort(dim=1, descending=True)
    slope = slope.gather(1, order).cumsum(1)
    fallen = (slope[:, :-1] * (kinks[:, :-1] - kinks[:, 1:])).cumsum(1)
    norm = torch.cat([torch.zeros_like(fallen[:, :1]), fallen], dim=1)  # at each kink, from the highest down
    above_B1 = ((norm < eps).sum(1, keepdim=True) - 1).clamp_min(0)  # the last kink still inside the ball
    rise = slope.gather(1, above_B1).clamp_min(1)
    level_B1 = (kinks.gather(1, above_B1) - (eps - norm.gather(1, above_B1)) / rise).clamp_min(0)
    kept = (size - level_B1).clamp_min(0).minimum(cap).to(delta.dtype)
    return delta.sign() * kept.view_as(delta)


def _l1_random(uniform: Draw, normal: Draw, eps: float) -> Tensor:
    # Exponential sizes with random signs give a uniform direction; the radius is eps·U^(1/d), and
    # erf(|g|/√2) of a normal g is such a U, whatever the sign of g.
    signs = normal()
    size = -uniform().clamp_min(2.0**-25).log()
    share_B = torch.erf(signs.flatten(1)[:, 0].abs() / math.sqrt(2))
    radius_B = eps * share_B ** (1 / math.prod(signs.shape[1:]))
    return signs.sign() * size * per_row(radius_B / size.flatten(1).sum(1), size)


def _l1_distance(delta: Tensor) -> Tensor:
    norm_B: Tensor = delta.flatten(1).to(torch.float64).abs().sum(1)
    return norm_B


def _l0_project(delta: Tensor, eps: float) -> Tensor:
    flat = delta.flatten(1)
    kept = flat.abs().topk(int(min(eps, flat.shape[1])), dim=1).indices
    return torch.zeros_like(flat).scatter_(1, kept, flat.gather(1, kept)).view_as(delta)


def _l0_distance(delta: Tensor) -> Tensor:
    return (delta != 0).flatten(1).sum(1).to(torch.float64)


def _unbounded(*arguments: object) -> Tensor:
    raise AssertionError("an L0 ball has no end: no steepest direction, no uniform point")


BALLS: dict[str, Ball] = {
    "linf": Ball("linf", _linf_ascent, _linf_project, _linf_random, _linf_distance, lambda d: 1.0),
    "l2": Ball("l2", _l2_ascent, _l2_project, _l2_random, _l2_distance, math.sqrt),
    "l1": Ball("l1", _l1_ascent, _l1_project, _l1_random, _l1_distance, float),
    "l0": Ball("l0", _unbounded, _l0_project, _unbounded, _l0_distance, lambda d: 0.0),
}
