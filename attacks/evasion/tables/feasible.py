"""Which table rows an adversary can reach from a clean one, and the best of them for a linear model.

A reachable row leaves immutable columns alone; keeps exactly one slot of each category at 1 and the rest at
0; keeps integers whole; moves a monotone column only its way; and stays within the columns' bounds (a
clean value outside them may stay where it is). A column's change is |Δ| / (high − low), or 1 for another
category. The distance between rows is, by norm,
    l1     Σ over columns of cost · change
    linf   the largest change (so another category is within reach only for eps ≥ 1)
    l0     how many columns changed

Legend: B rows, D columns, W slots of an encoded row. Arithmetic in float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raiaudit.attacks.spaces import TableSchema
from raiaudit.attacks.threats import Norm

__all__ = ["FeasibleRows", "reachable_box", "violations"]

_TINY = 1e-300
_ROUNDING = 1e-6  # share of the budget kept back for the rounding of rows to float32


def violations(schema: TableSchema, x_BW: Tensor, x0_BW: Tensor) -> Tensor:
    """Which rows (bool B) break a rule of the schema, as adversarial versions of the clean rows."""
    bad_B = ~x_BW.isfinite().all(1)
    for column in schema.columns:
        part = schema.slices[column.name]
        x, x0 = x_BW[:, part], x0_BW[:, part]
        changed_B = (x != x0).any(1)
        if not column.mutable:
            bad_B |= changed_B
        elif column.kind == "category":
            one_hot_B = ((x == 0) | (x == 1)).all(1) & (x.sum(1) == 1)
            bad_B |= changed_B & ~one_hot_B
        else:
            low, high = x0.clamp_max(column.low), x0.clamp_min(column.high)
            bad_B |= ((x < low) | (x > high)).any(1)
            if column.kind == "integer":
                bad_B |= changed_B & (x != x.round()).any(1)
            if column.monotone == "increasing":
                bad_B |= (x < x0).any(1)
            elif column.monotone == "decreasing":
                bad_B |= (x > x0).any(1)
    return bad_B


def reachable_box(schema: TableSchema, norm: Norm, x0_BW: Tensor, eps_B: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest (low_BW, high_BW), float64, around the reachable rows; each row has a radius of its own.

    The slots of a category that may change are [0, 1] each.
    """
    rows, x0 = FeasibleRows(schema, norm, 0.0, x0_BW.device), x0_BW.double()
    cost_W = rows.cost_D[rows.column_W] if norm == "l1" else torch.ones_like(rows.range_W)
    # The bound is loose by rounding, so that what counts as within eps lies in the box.
    change_BW = (eps_B.double()[:, None] * (1 + 1e-9)) / cost_W.clamp_min(_TINY)
    if norm == "l0":
        change_BW = torch.where(eps_B[:, None] >= 1, torch.inf, torch.zeros_like(x0))
    reach_BW = change_BW * rows.range_W
    low = (x0 - reach_BW).maximum(torch.where(rows.rising_W, x0, rows.low_W.minimum(x0)))
    high = (x0 + reach_BW).minimum(torch.where(rows.falling_W, x0, rows.high_W.maximum(x0)))
    whole_BW = rows.integer_W & (x0 == x0.round())
    low, high = torch.where(whole_BW, low.ceil(), low), torch.where(whole_BW, high.floor(), high)
    for column in schema.columns:
        part = schema.slices[column.name]
        if column.kind == "category":
            clean = x0[:, part]
            one_hot_B1 = ((clean == 0) | (clean == 1)).all(1, keepdim=True) & (
                clean.sum(1, keepdim=True) == 1
            )
            # What is no level costs less than a whole change to leave.
            moves_B1 = (change_BW[:, part.start, None] >= 1) | ((eps_B > 0)[:, None] & ~one_hot_B1)
            low[:, part] = torch.where(moves_B1, clean.clamp_max(0), clean)
            high[:, part] = torch.where(moves_B1, clean.clamp_min(1), clean)
        if not column.mutable:
            low[:, part], high[:, part] = x0[:, part], x0[:, part]
    return low, high


class FeasibleRows:
    """The rows within `eps` of a clean one in `norm` that the schema allows."""

    def __init__(self, schema: TableSchema, norm: Norm, eps: float, device: torch.device) -> None:
        assert norm in ("l1", "linf", "l0")
        self.schema, self.norm, self.eps = schema, norm, eps
        columns = schema.columns
        widths = torch.tensor([column.width for column in columns])
        self.column_W = torch.arange(len(columns)).repeat_interleave(widths).to(device)

        def slots(values: list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64, device=device)[self.column_W]

        def mask(values: list[bool]) -> Tensor:
            return torch.tensor(values, device=device)[self.column_W]

        self.cost_D = torch.tensor([column.cost for column in columns], dtype=torch.float64, device=device)
        self.category_D = torch.tensor([column.kind == "category" for column in columns], device=device)
        self.whole_D = torch.tensor([column.kind != "real" for column in columns], device=device)
        self.integer_W = mask([column.kind == "integer" for column in columns])
        self.category_W = self.category_D[self.column_W]
        self.fixed_W = mask(
            [
                not column.mutable or (column.kind != "category" and column.high <= column.low)
                for column in columns
            ]
        )
        self.low_W = slots([column.low for column in columns])
        self.high_W = slots([column.high for column in columns])
        # 2 for a category: another level moves two slots by 1, and is one change.
        self.range_W = slots(
            [2.0 if column.kind == "category" else max(column.high - column.low, _TINY) for column in columns]
        )
        self.rising_W = mask([column.monotone == "increasing" for column in columns])
        self.falling_W = mask([column.monotone == "decreasing" for column in columns])

    def changes(self, x_BW: Tensor, x0_BW: Tensor) -> Tensor:
        """change_BD of each column, float64."""
        delta_BW = (x_BW.double() - x0_BW.double()).abs() / self.range_W
        return self._by_column(delta_BW)

    def distance(self, x_BW: Tensor, x0_BW: Tensor) -> Tensor:
        """Distance of each row in the norm, float64."""
        change_BD = self.changes(x_BW, x0_BW)
        return change_BD.amax(1) if self.norm == "linf" else self.costs(change_BD).sum(1)

    def costs(self, change_BD: Tensor) -> Tensor:
        """What each column's change takes from the budget, cost_BD float64."""
        return (change_BD > 0).double() if self.norm == "l0" else change_BD * self.cost_D

    def valid(self, x_BW: Tensor, x0_BW: Tensor) -> Tensor:
        """Which rows the schema allows (bool B)."""
        return ~violations(self.schema, x_BW, x0_BW)

    def contains(self, x_BW: Tensor, x0_BW: Tensor) -> Tensor:
        """Which rows are reachable (bool B)."""
        return self.valid(x_BW, x0_BW) & (self.distance(x_BW, x0_BW) <= self.eps)

    def steepest(self, grad_BW: Tensor, x0_BW: Tensor) -> Tensor:
        """The row reachable in l1 or linf that a linear function with this gradient likes best, up to whole
        numbers.
        """
        grad = grad_BW.double().nan_to_num(nan=0.0)
        x0 = x0_BW.double()
        low, high = self.interval(x0)
        want = torch.where(grad > 0, high, torch.where(grad < 0, low, x0))
        want = self._with_categories(want, grad, x0)
        gain_BD = self._by_column(grad * (want - x0))
        cost_BD = self.changes(want, x0) * self.cost_D
        return self._granted(want, gain_BD / cost_BD.clamp_min(_TINY), x0).to(x0_BW.dtype)

    def settle(self, relaxed_BW: Tensor, x0_BW: Tensor) -> Tensor:
        """A reachable row near a mixture of reachable rows: whole numbers, whole categories, in budget."""
        relaxed, x0 = relaxed_BW.double(), x0_BW.double()
        want = self._with_categories(relaxed, relaxed, x0)
        # Categories first, the heavier the earlier: they cannot be taken in part; numbers share the rest.
        weight_BD = self._by_column(relaxed * (want - x0) * self.category_W)
        change_BD = self.changes(want, x0)
        priority_BD = torch.where(self.category_D, 2 + weight_BD, change_BD.clamp_max(1))
        return self._granted(want, priority_BD * (change_BD > 0), x0).to(x0_BW.dtype)

    def _by_column(self, values_BW: Tensor) -> Tensor:
        """Sums over the slots of each column."""
        sums_BD = torch.zeros(
            len(values_BW), len(self.cost_D), dtype=values_BW.dtype, device=values_BW.device
        )
        return sums_BD.index_add_(1, self.column_W, values_BW)

    def interval(self, x0: Tensor) -> tuple[Tensor, Tensor]:
        """Lowest and highest value of each slot; a fractional value of an integer column stays."""
        stays = self.fixed_W | self.category_W | (self.integer_W & (x0 != x0.round()))
        low = torch.where(stays | self.rising_W, x0, self.low_W.minimum(x0))
        high = torch.where(stays | self.falling_W, x0, self.high_W.maximum(x0))
        return low, high

    def _with_categories(self, want: Tensor, score: Tensor, x0: Tensor) -> Tensor:
        """`want` with each movable category at its highest-scoring level, where that beats the clean one."""
        want = want.clone()
        for column in self.schema.columns:
            if column.kind != "category":
                continue
            part = self.schema.slices[column.name]
            clean = x0[:, part]
            want[:, part] = clean
            if not column.mutable or column.width < 2:
                continue
            best_B = score[:, part].argmax(1)
            better_B = score[:, part].gather(1, best_B[:, None]).squeeze(1) > (score[:, part] * clean).sum(1)
            known_B = (clean.sum(1) == 1) & (clean.amax(1) == 1)
            chosen = torch.zeros_like(clean).scatter_(1, best_B[:, None], 1.0)
            want[:, part] = torch.where((better_B & known_B)[:, None], chosen, clean)
        return want

    def _granted(self, want: Tensor, priority_BD: Tensor, x0: Tensor) -> Tensor:
        """From x0 towards `want`, as far as the budget goes in the order of priority."""
        low, high = self.interval(x0)
        share_BW = self._shares(want, priority_BD, x0)[:, self.column_W]
        move = share_BW * (want - x0)
        move = torch.where(self.integer_W, (move * (1 + 2 * _ROUNDING)).trunc(), move)
        moved = torch.where(self.category_W, x0 + move, (x0 + move).maximum(low).minimum(high))
        # Rounding to float32 may overstep the budget by its last bit: such a row stays clean.
        fits_B = self.distance(moved.float(), x0) <= self.eps
        return torch.where(fits_B[:, None], moved, x0)

    def _shares(self, want: Tensor, priority_BD: Tensor, x0: Tensor) -> Tensor:
        """Which part of each column's wanted move is granted."""
        change_BD = self.changes(want, x0)
        eps = self.eps * (1 - _ROUNDING)
        if self.norm == "linf":
            share_BD = (eps / change_BD.clamp_min(_TINY)).clamp_max(1.0)
            whole_BD = (change_BD <= self.eps).double()
            return torch.where(self.category_D, whole_BD, share_BD)
        cost_BD = change_BD * self.cost_D
        share_BD = torch.zeros_like(cost_BD)
        left_B = torch.full((len(want),), eps, dtype=torch.float64, device=want.device)
        for column_B in priority_BD.argsort(1, descending=True).unbind(1):
            column_B1 = column_B[:, None]
            cost_B = cost_BD.gather(1, column_B1).squeeze(1)
            part_B = torch.where(self.category_D[column_B], 0.0, left_B / cost_B.clamp_min(_TINY))
            room_B = left_B + self.eps * _ROUNDING * self.whole_D[column_B]
            grant_B = torch.where(cost_B <= room_B, 1.0, part_B)
            grant_B = grant_B * (priority_BD.gather(1, column_B1).squeeze(1) > 0)
            share_BD.scatter_(1, column_B1, grant_B[:, None])
            left_B = (left_B - grant_B * cost_B).clamp_min(0.0)
        return share_BD
