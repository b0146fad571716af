"""Projected gradient on table rows: ascend, project on the budget, ask about a row that could be filed.

Madry et al., arXiv:1706.06083, in the coordinates of a table: a number in units of its column's range, a
category as a point of the simplex of its levels. The relaxed iterate steps along the gradient, of L2 length
1 (norm "l1") or by sign ("linf"), and is projected in L2 on the reachable set: soft thresholds for numbers,
simplices for categories, with the one multiplier that meets the summed cost found by bisection (as for
the L1 ball, Duchi et al. 2008, doi:10.1145/1390156.1390191). What the model is asked is the iterate settled
to a row that the schema allows, and the gradient is taken there. Restarts begin at random vertices.

Shapes: x encoded rows B×W. Threat: "l1" or "linf", as in `feasible`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks.evasion.engine.rows import Rows
from raiaudit.attacks.evasion.engine.rules import Rule, Seen
from raiaudit.attacks.evasion.tables.feasible import FeasibleRows
from raiaudit.attacks.evasion.tables.frank_wolfe import GradientTableAttack, random_vertex
from raiaudit.attacks.threats import Norm

__all__ = ["ProjectedTable", "project"]

_BISECTIONS = 30


def project(rows: FeasibleRows, want_BW: Tensor, x0_BW: Tensor) -> Tensor:
    """The point of the relaxed reachable set that is nearest to `want` in table coordinates, float64.

    Relaxed: numbers need not be whole, and a movable category is any point of its simplex, whose change is
    the weight taken from the clean level.
    """
    want, x0 = want_BW.double(), x0_BW.double()
    if rows.norm == "linf":
        return _shrunk(rows, want, x0, torch.zeros(len(x0), 1, dtype=torch.float64, device=x0.device))
    cost_W = rows.cost_D[rows.column_W]
    paid = cost_W[(cost_W > 0) & ~rows.fixed_W]
    cheapest = float(paid.min()) if len(paid) else 1.0
    low_B1 = torch.zeros(len(x0), 1, dtype=torch.float64, device=x0.device)
    # A multiplier at which nothing that costs moves any more.
    high_B1 = (((want - x0).abs() / _scale(rows)).amax(1, keepdim=True) * 2 + 1) / cheapest
    free = _shrunk(rows, want, x0, low_B1)
    for _ in range(_BISECTIONS):
        middle_B1 = (low_B1 + high_B1) / 2
        fits_B1 = (rows.distance(_shrunk(rows, want, x0, middle_B1), x0) <= rows.eps)[:, None]
        low_B1, high_B1 = torch.where(fits_B1, low_B1, middle_B1), torch.where(fits_B1, middle_B1, high_B1)
    within_B1 = (rows.distance(free, x0) <= rows.eps)[:, None]
    return torch.where(within_B1, free, _shrunk(rows, want, x0, high_B1))


def _scale(rows: FeasibleRows) -> Tensor:
    """What one unit of each slot is: a column's range, or a whole level."""
    return torch.where(rows.category_W, 1.0, rows.range_W)


def _shrunk(rows: FeasibleRows, want: Tensor, x0: Tensor, price_B1: Tensor) -> Tensor:
    """Each column by itself: the nearest point when a change of cost 1 is charged `price`."""
    cost_W, scale_W = rows.cost_D[rows.column_W], _scale(rows)
    low, high = rows.interval(x0)
    delta = (want - x0) / scale_W
    delta = delta.sign() * (delta.abs() - price_B1 * cost_W).clamp_min(0)
    if rows.norm == "linf":
        delta = delta.clamp(-rows.eps, rows.eps)
    moved = (x0 + delta * scale_W).maximum(low).minimum(high)
    for column in rows.schema.columns:
        if column.kind != "category" or not column.mutable or column.width < 2:
            continue
        if rows.norm == "linf" and rows.eps < 1:
            continue
        part = rows.schema.slices[column.name]
        clean = x0[:, part]
        known_B1 = ((clean.sum(1) == 1) & (clean.amax(1) == 1))[:, None]
        nearest = _on_simplex(want[:, part] + price_B1 * column.cost * clean)
        moved[:, part] = torch.where(known_B1, nearest, clean)
    return moved


def _on_simplex(v_BL: Tensor) -> Tensor:
    """The nearest point with weights ≥ 0 that sum to 1 (Duchi et al. 2008, figure 1)."""
    sorted_BL = v_BL.sort(1, descending=True).values
    count_L = torch.arange(1, v_BL.shape[1] + 1, device=v_BL.device, dtype=v_BL.dtype)
    excess_BL = (sorted_BL.cumsum(1) - 1) / count_L
    last_B1 = (sorted_BL > excess_BL).sum(1, keepdim=True) - 1
    return (v_BL - excess_BL.gather(1, last_B1)).clamp_min(0)


@dataclass(frozen=True, slots=True)
class _Projected(Rule):
    """One run: `steps` steps of `length` times eps."""

    name = "projected_table"

    rows: FeasibleRows
    steps: int
    length: float
    random: tuple[int, str, int] | None = None

    def start(self, rows: Rows) -> Rows:
        """The clean row, or a random vertex."""
        x = rows.x0 if self.random is None else random_vertex(self.rows, rows.x0, rows.ids_A, self.random)
        return replace(rows, x=x, memory={"relaxed": x})

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """Cross-entropy."""
        return functional.cross_entropy(logits_AK, rows.y_A, reduction="none")

    def step(self, rows: Rows, seen: Seen, iteration: int) -> Rows:
        """Ascend, project, settle."""
        assert seen.grad is not None
        scale_W = _scale(self.rows)
        slope = seen.grad.double().nan_to_num(nan=0.0) * scale_W * ~self.rows.fixed_W
        slope = slope / slope.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
        if self.rows.norm == "linf":
            slope = slope.sign()
        else:
            slope = slope / slope.norm(dim=1, keepdim=True).clamp_min(0.5)
        want = rows.memory["relaxed"].double() + self.length * self.rows.eps * slope * scale_W
        relaxed = project(self.rows, want, rows.x0)
        x = self.rows.settle(relaxed, rows.x0)
        return replace(rows, x=x, memory={"relaxed": relaxed.to(rows.x0.dtype)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectedTable(GradientTableAttack):
    """Steps of `step_size` times eps, in units of the columns' ranges."""

    name: ClassVar[str] = "projected_table"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l1", "linf"})

    step_size: float = 0.25

    def rule(self, rows: FeasibleRows, start: tuple[int, str, int] | None) -> Rule:
        """Projected gradient."""
        return _Projected(rows, self.steps, self.step_size, start)
