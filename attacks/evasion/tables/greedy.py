"""Beam search over single-column changes: a black-box attack on table rows that needs scores alone.

Each round tries every change of one column of every row in the beam: all levels of a category, and for a
number a grid between its clean value and the farthest one that bounds, monotonicity and what is left of the
budget allow, both ways (and back to the clean value). Of what was tried, an error ends the search, the
cheapest first; otherwise the rows of lowest margin are kept. Where changes cost by size (norm "l1") every
other place in the beam goes to the most margin lost per cost instead, as in the greedy solution of a
knapsack: a row that spends all on one column has nothing left for others. With a beam of 1 and one
round this is exhaustive search over one change. All candidates of many examples share a forward. The idea is
HotFlip's beam (arXiv:1712.06751) with queries in place of gradients.

Shapes: x encoded rows B×W, C candidates, K classes. Threat: "l0", "l1" or "linf", as in `feasible`; its
budget caps the queries per example, the clean look and the second look at a success included (where
candidates are too many, a random part of them, keyed by example, is asked about).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from raiaudit.attacks import randomness
from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, Modality, prepared
from raiaudit.attacks.evasion.engine.rows import example_ids
from raiaudit.attacks.evasion.engine.rules import errs, margin
from raiaudit.attacks.evasion.tables.feasible import FeasibleRows
from raiaudit.attacks.evasion.tables.frank_wolfe import feasible_rows
from raiaudit.attacks.spaces import Column, InputSpace
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel

__all__ = ["GreedyTable", "single_changes"]

_BACK = 1e-6  # share of the budget that the farthest value keeps back for rounding to float32
_PATIENCE = 2  # rounds without a lower margin


def single_changes(rows: FeasibleRows, x_BW: Tensor, x0_BW: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """Rows that differ from x in one column, rows_BCW, and which of them are reachable and new (bool BC)."""
    x, x0 = x_BW.double(), x0_BW.double()
    low, high = rows.interval(x0)
    cost_BD = rows.costs(rows.changes(x, x0))
    blocks, allowed = [], []
    for place, column in enumerate(rows.schema.columns):
        if not column.mutable or column.width < 1:
            continue
        part = rows.schema.slices[column.name]
        if column.kind == "category":
            values_BCS = torch.eye(column.width, dtype=x.dtype, device=x.device).expand(len(x), -1, -1)
            clean = x0[:, part]
            known_B1 = ((clean.sum(1) == 1) & (clean.amax(1) == 1))[:, None]
            new_BC = known_B1.expand(-1, column.width)
        else:
            others_B = cost_BD.sum(1) - cost_BD[:, place]
            values_BC = _grid(rows, column, x0[:, part], low[:, part], high[:, part], others_B, levels)
            same_BC = values_BC[:, 1:] == values_BC[:, :-1]
            new_BC = torch.cat([torch.ones_like(same_BC[:, :1]), ~same_BC], dim=1)
            values_BCS = values_BC[..., None]
        block = x[:, None].repeat(1, values_BCS.shape[1], 1)
        block[..., part] = values_BCS
        blocks.append(block)
        allowed.append(new_BC)
    found = torch.cat(blocks, dim=1).to(x_BW.dtype)
    candidates = found.shape[1]
    flat, clean = found.flatten(0, 1), x0_BW.repeat_interleave(candidates, dim=0)
    reachable_BC = rows.contains(flat, clean).view(-1, candidates)
    return found, torch.cat(allowed, dim=1) & reachable_BC & (found != x_BW[:, None]).any(2)


def _grid(
    rows: FeasibleRows,
    column: Column,
    x0_B1: Tensor,
    low_B1: Tensor,
    high_B1: Tensor,
    others_B: Tensor,
    levels: int,
) -> Tensor:
    """Values from the farthest up to the clean one and on to the farthest down, values_BC."""
    reach_B1 = torch.full_like(x0_B1, torch.inf)
    span = column.high - column.low
    if rows.norm == "linf":
        reach_B1.fill_(rows.eps * (1 - _BACK) * span)
    elif rows.norm == "l1" and column.cost > 0:
        left_B = (rows.eps * (1 - _BACK) - others_B).clamp_min(0)
        reach_B1 = (left_B / column.cost * span)[:, None]
    share_C = torch.arange(levels, -1, -1, dtype=x0_B1.dtype, device=x0_B1.device) / levels
    up_BC = share_C * (high_B1 - x0_B1).minimum(reach_B1)
    down_BC = share_C * (low_B1 - x0_B1).maximum(-reach_B1)
    move_BC = torch.cat([up_BC, down_BC.flip(1)[:, 1:]], dim=1)
    if column.kind == "integer":
        move_BC = (move_BC * (1 + 2 * _BACK)).trunc()
    return x0_B1 + move_BC


@dataclass(slots=True)
class _Known:
    """What is known of each example of a group."""

    found_BW: Tensor
    broken_B: Tensor
    forwards_B: Tensor
    lowest_B: Tensor


@dataclass(frozen=True, slots=True)
class _Beam:
    """The S rows of each of A standing examples; `index_A` places an example in its group."""

    index_A: Tensor
    x_ASW: Tensor
    margin_AS: Tensor
    distance_AS: Tensor
    alive_AS: Tensor
    stale_A: Tensor

    @classmethod
    def of(cls, index_A: Tensor, x0_BW: Tensor, margin_B: Tensor) -> _Beam:
        """The clean rows."""
        margin_AS = margin_B[index_A][:, None]
        alive_AS = torch.ones_like(margin_AS, dtype=torch.bool)
        distance_AS = torch.zeros_like(margin_AS, dtype=torch.float64)
        x_ASW = x0_BW[index_A][:, None]
        return cls(index_A, x_ASW, margin_AS, distance_AS, alive_AS, torch.zeros_like(index_A))


@dataclass(frozen=True, slots=True, kw_only=True)
class GreedyTable:
    """A beam of `beam` rows, at most `rounds` changes, `levels` values of a number each way."""

    name: ClassVar[str] = "greedy_table"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l0", "l1", "linf"})
    modality: ClassVar[Modality] = "tabular"
    knowledge: ClassVar[Knowledge] = "score"

    beam: int = 4
    rounds: int = 10
    levels: int = 8
    batch_size: int = 8192

    def __post_init__(self) -> None:
        if min(self.beam, self.rounds, self.levels, self.batch_size) < 1:
            raise ValueError(f"beam, rounds, levels and batch_size must be at least 1: {self}")

    def __call__(
        self,
        classifier: LogitsOf,
        x: Tensor,
        y_B: Tensor,
        threat: ThreatModel,
        *,
        space: InputSpace,
        seed: int,
        ids: Sequence[int] | Tensor | None = None,
    ) -> AttackResult:
        """Attack encoded rows; errors as in `feasible_rows`. `details`: the lowest `margin` seen."""
        rows = feasible_rows(self, x, threat, space)
        ids_B = example_ids(ids, len(x), x.device)
        widths = [c.width if c.kind == "category" else 2 * self.levels + 1 for c in rows.schema.columns]
        together = max(1, self.batch_size // (self.beam * sum(widths)))
        parts = []
        with prepared(classifier), torch.no_grad():
            for start in range(0, max(1, len(x)), together):
                group = slice(start, start + together)
                parts.append(
                    self._searched(classifier, rows, x[group], y_B[group], ids_B[group], threat.budget, seed)
                )
        found = torch.cat([part.found_BW for part in parts])
        forwards_B = torch.cat([part.forwards_B for part in parts])
        return AttackResult(
            found,
            torch.cat([part.broken_B for part in parts]),
            rows.distance(found, x).float(),
            forwards_B,
            torch.zeros_like(forwards_B),
            {"margin": torch.cat([part.lowest_B for part in parts])},
        )

    def _searched(
        self,
        classifier: LogitsOf,
        rows: FeasibleRows,
        x0_BW: Tensor,
        y_B: Tensor,
        ids_B: Tensor,
        budget: int | None,
        seed: int,
    ) -> _Known:
        """Search around a group of examples in lock step."""
        logits_BK = classifier(x0_BW)
        known = _Known(x0_BW.clone(), errs(logits_BK, y_B), torch.ones_like(y_B), margin(logits_BK, y_B))
        can_move = rows.eps > 0 and any(column.mutable for column in rows.schema.columns)
        beam = _Beam.of((~known.broken_B & can_move).nonzero().squeeze(1), x0_BW, known.lowest_B)
        for number in range(self.rounds):
            if not len(beam.index_A):
                break
            index_A = beam.index_A
            x0_AW, y_A = x0_BW[index_A], y_B[index_A]
            x_ACW, new_AC = self._candidates(rows, beam, x0_AW)
            mark_AC = _marks(x_ACW)
            new_AC = _once(new_AC, mark_AC)
            if budget is not None:
                draw_AC = randomness.uniform(
                    ids_B[index_A], new_AC.shape[1:], seed=seed, stream=self.name, draw=number
                )
                new_AC = _affordable(new_AC, budget - known.forwards_B[index_A] - 1, draw_AC)
            margin_AC, errs_AC = self._asked(classifier, x_ACW, new_AC, y_A)
            known.forwards_B[index_A] += new_AC.sum(1)
            best_A = margin_AC.amin(1)
            stale_A = torch.where(best_A < known.lowest_B[index_A], 0, beam.stale_A + 1)
            known.lowest_B[index_A] = known.lowest_B[index_A].minimum(best_A)

            clean = x0_AW.repeat_interleave(x_ACW.shape[1], 0)
            distance_AC = rows.distance(x_ACW.flatten(0, 1), clean).view_as(margin_AC)
            denied_AC = self._confirmed(classifier, known, index_A, x_ACW, errs_AC, distance_AC, y_A)
            scores = [margin_AC]
            if rows.norm == "l1":
                scores.append(_dearness(beam, margin_AC, distance_AC))
            kept_AS, alive_AS = self._kept(new_AC & ~denied_AC, scores)
            on_A = ~known.broken_B[index_A] & alive_AS.any(1) & (stale_A < _PATIENCE)
            beam = _Beam(
                index_A[on_A],
                x_ACW.take_along_dim(kept_AS[..., None], 1)[on_A],
                margin_AC.gather(1, kept_AS)[on_A],
                distance_AC.gather(1, kept_AS)[on_A],
                alive_AS[on_A],
                stale_A[on_A],
            )
        return known

    def _candidates(self, rows: FeasibleRows, beam: _Beam, x0_AW: Tensor) -> tuple[Tensor, Tensor]:
        """All single changes of all rows of the beam, x_ACW, and which of them are worth a query."""
        examples, states = beam.alive_AS.shape
        x, new = single_changes(
            rows, beam.x_ASW.flatten(0, 1), x0_AW.repeat_interleave(states, 0), self.levels
        )
        new_ASC = new.view(examples, states, -1) & beam.alive_AS[..., None]
        return x.view(examples, -1, x.shape[2]), new_ASC.flatten(1)

    def _asked(
        self, classifier: LogitsOf, x_ACW: Tensor, new_AC: Tensor, y_A: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The margin (infinite where not asked) and whether the model errs."""
        asked = x_ACW[new_AC]
        labels = y_A[:, None].expand(new_AC.shape)[new_AC]
        margin_AC = torch.full(new_AC.shape, torch.inf, device=x_ACW.device)
        errs_AC = torch.zeros_like(new_AC)
        if len(asked):
            logits = torch.cat([classifier(part) for part in torch.split(asked, self.batch_size)])
            margin_AC[new_AC] = margin(logits, labels).float().nan_to_num(nan=-torch.inf)
            errs_AC[new_AC] = errs(logits, labels)
        return margin_AC, errs_AC

    def _confirmed(
        self,
        classifier: LogitsOf,
        known: _Known,
        index_A: Tensor,
        x_ACW: Tensor,
        errs_AC: Tensor,
        distance_AC: Tensor,
        y_A: Tensor,
    ) -> Tensor:
        """Record the cheapest error of each example if it holds anew; those that do not (bool AC)."""
        some = errs_AC.any(1).nonzero().squeeze(1)
        denied_AC = torch.zeros_like(errs_AC)
        if not len(some):
            return denied_AC
        cheapest = distance_AC.masked_fill(~errs_AC, torch.inf)[some].argmin(1)
        x = x_ACW[some, cheapest]
        holds = errs(classifier(x), y_A[some])
        known.forwards_B[index_A[some]] += 1
        known.broken_B[index_A[some[holds]]] = True
        known.found_BW[index_A[some[holds]]] = x[holds]
        denied_AC[some[~holds], cheapest[~holds]] = True
        return denied_AC

    def _kept(self, open_AC: Tensor, scores: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The candidates of the next beam, by lowest score in turns, and which are any (both A×S)."""
        kept, alive = [], []
        for place in range(self.beam):
            score_AC = scores[place % len(scores)].masked_fill(~open_AC, torch.inf)
            chosen_A1 = score_AC.argmin(1, keepdim=True)
            kept.append(chosen_A1)
            alive.append(open_AC.gather(1, chosen_A1))
            open_AC = open_AC.scatter(1, chosen_A1, False)
        return torch.cat(kept, dim=1), torch.cat(alive, dim=1)


def _marks(x_ACW: Tensor) -> Tensor:
    """A number by which a row is known: a fixed random linear function of it."""
    generator = torch.Generator().manual_seed(0)
    direction_W = torch.randn(x_ACW.shape[2], generator=generator, dtype=torch.float64)
    return (x_ACW * direction_W.to(x_ACW.device)).sum(2)


def _once(new_AC: Tensor, mark_AC: Tensor) -> Tensor:
    """`new` without the rows that came before: two changes may be made in either order."""
    sorted_AC, order_AC = mark_AC.masked_fill(~new_AC, torch.inf).sort(stable=True, dim=1)
    again_AC = torch.zeros_like(new_AC)
    again_AC[:, 1:] = sorted_AC.diff(dim=1) == 0
    return new_AC & ~torch.zeros_like(new_AC).scatter(1, order_AC, again_AC)


def _dearness(beam: _Beam, margin_AC: Tensor, distance_AC: Tensor) -> Tensor:
    """Minus the margin lost per cost added by each change; not below 0 where none is lost.

    The power of the cost, just under 1, makes the largest of equally good changes win.
    """
    each = margin_AC.shape[1] // beam.margin_AS.shape[1]
    lost_AC = beam.margin_AS.repeat_interleave(each, 1) - margin_AC
    added_AC = (distance_AC - beam.distance_AS.repeat_interleave(each, 1)).clamp_min(1e-9)
    return -torch.where(lost_AC > 0, lost_AC / added_AC**0.9, lost_AC)


def _affordable(new_AC: Tensor, left_A: Tensor, draw_AC: Tensor) -> Tensor:
    """At most `left` candidates of each example, those of smallest draw."""
    rank_AC = draw_AC.masked_fill(~new_AC, torch.inf).argsort(1).argsort(1)
    return new_AC & (rank_AC < left_A[:, None])
