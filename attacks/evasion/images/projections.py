"""Projections that minimum-norm attacks share: onto a hyperplane within the box, onto balls of many radii.

`onto_plane` in L∞, L2 and L1: for a row x, a gradient g and a gap c, the δ of least norm with g·δ = c and
low ≤ x + δ ≤ high, as FAB needs it (arXiv:1907.02044, section 3.1). Every coordinate moves the way that
helps, so the question is how far: with gains a = |g| and rooms r up to the box, Σ a·t = c for t in [0, r].

- L∞ and L2: t = min(level·rate, r) with rate 1 or a. The sum is concave and piecewise linear in the level,
  so Newton's method from 0 climbs to the root without passing it and ends after as many steps as there are
  sets of full coordinates on its way: a handful, each linear in d; nothing is sorted.
- L1: the largest gains first, each to the end of its room.

Everything is row-wise: A rows of any trailing shape (…), d values in a row. Exact up to float rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raiaudit.attacks.evasion.engine.balls import Ball, per_row
from raiaudit.attacks.threats import Norm

__all__ = ["nearest_plane", "onto_ball", "onto_plane"]


def onto_plane(x: Tensor, grad: Tensor, gap_A: Tensor, *, norm: Norm, low: float, high: float) -> Tensor:
    """δ: the shortest move in `norm` ("linf", "l2", "l1") with grad·δ = gap_A and x + δ in the box.

    Where the box does not reach the plane, the corner of the box nearest to it. Where the gradient is zero
    or NaN, or the gap NaN, no move.
    """
    slope = grad.flatten(1).nan_to_num(nan=0.0) * gap_A.nan_to_num(nan=0.0).sign()[:, None]
    # Divided by the largest entry: the squares of a saturated model's 1e-25 gradient would underflow.
    peak_A = slope.abs().amax(1).clamp_min(torch.finfo(slope.dtype).tiny)
    slope = slope / peak_A[:, None]
    need_A = gap_A.nan_to_num(nan=0.0).abs() / peak_A
    flat = x.flatten(1)
    gain, room = slope.abs(), torch.where(slope > 0, high - flat, flat - low)
    if norm == "l1":
        move = _largest_first(need_A, gain, room)
    else:
        rate = gain if norm == "l2" else torch.ones_like(gain)
        move = torch.minimum(_level(need_A, gain, rate, room)[:, None] * rate, room)
    return (move * slope.sign()).view_as(x)


def _level(need_A: Tensor, gain: Tensor, rate: Tensor, room: Tensor) -> Tensor:
    """level_A with Σ gain·min(level·rate, room) = need_A; the largest float where there is none."""
    highest = torch.finfo(gain.dtype).max
    volume, speed = gain * room, gain * rate
    level_A = torch.zeros_like(need_A)
    while True:
        open_ = level_A[:, None] * rate < room
        left_A = need_A - volume.masked_fill(open_, 0.0).sum(1)
        speed_A = (speed * open_).sum(1)
        next_A = (left_A / speed_A).clamp_max(highest).masked_fill(speed_A == 0, highest)
        if not bool((next_A > level_A).any()):
            return level_A
        level_A = torch.maximum(level_A, next_A)


def _largest_first(need_A: Tensor, gain: Tensor, room: Tensor) -> Tensor:
    """The moves that spend the rooms of the largest gains until Σ gain·move = need_A."""
    gain, order = gain.sort(dim=1, descending=True)
    room = room.gather(1, order)
    volume = gain * room
    left = need_A[:, None] - (volume.cumsum(1) - volume)
    move = (left / gain.clamp_min(torch.finfo(gain.dtype).tiny)).clamp_min(0.0).minimum(room)
    return torch.empty_like(move).scatter_(1, order, move)


def nearest_plane(excess_AJ: Tensor, grad: Tensor, ball: Ball) -> tuple[Tensor, Tensor]:
    """Of J linear functions (their values and A×J×… gradients) the one whose zero is nearest, box or not."""
    rows = grad.flatten(0, 1)
    slope_AJ = (rows * ball.ascent(rows)).flatten(1).sum(1).view_as(excess_AJ)
    away_AJ = (excess_AJ.abs() / slope_AJ).nan_to_num(nan=torch.inf, posinf=torch.inf)
    nearest_A = away_AJ.argmin(1)
    index_A = torch.arange(len(nearest_A), device=nearest_A.device)
    return excess_AJ[index_A, nearest_A], grad[index_A, nearest_A]


def onto_ball(delta: Tensor, radius_A: Tensor, ball: Ball) -> Tensor:
    """The nearest point (in L2) of a ball of its own radius for each row."""
    if ball.norm == "l0":
        return _largest_kept(delta, radius_A)
    radius = per_row(radius_A.clamp_min(torch.finfo(delta.dtype).tiny), delta)
    return ball.project(delta / radius, 1.0).mul_(radius)


def _largest_kept(delta: Tensor, count_A: Tensor) -> Tensor:
    """Zero but for the `count` largest entries of each row."""
    flat = delta.flatten(1)
    order = flat.abs().argsort(dim=1, descending=True, stable=True)
    kept = torch.arange(flat.shape[1], device=flat.device) < count_A[:, None]
    return (flat * torch.zeros_like(kept).scatter_(1, order, kept)).view_as(delta)
