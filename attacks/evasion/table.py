"""Conditional gradient on table rows: every iterate is a row that could be filed.

Frank & Wolfe's method (see Jaggi 2013, ICML "Revisiting Frank–Wolfe") suits feasible sets that are hard to
project on but easy to search linearly: each gradient names the best reachable row z of the linearised
model (greedily by gain per cost), the relaxed iterate moves to (1 − γ)·r + γ·z with γ = 2 / (t + 2), and what
the model is asked is r settled to a row that the schema allows. A linear model on real columns falls at
the first step, at the exact minimal budget. Restarts begin at the best row of a random linear function.

Shapes: x encoded rows B×W, y_B int64. Threat: "l1", the summed cost of the changed columns; "linf", the
largest change in units of a column's range (see `feasible`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from raiaudit.attacks import randomness
from raiaudit.attacks.evasion import engine
from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, Modality
from raiaudit.attacks.evasion.feasible import FeasibleRows
from raiaudit.attacks.evasion.rows import Rows, example_ids
from raiaudit.attacks.evasion.rules import Clean, Rule, Seen
from raiaudit.attacks.spaces import InputSpace, TableSchema
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel
from raiaudit.errors import UsageError

__all__ = ["Table"]


@dataclass(frozen=True, slots=True)
class _ConditionalGradient(Rule):
    """One run, from the clean row or from a random reachable one: (seed, stream, draw)."""

    name = "table"

    rows: FeasibleRows
    steps: int
    random: tuple[int, str, int] | None = None

    def start(self, rows: Rows) -> Rows:
        """The clean row, or the best row of a random linear function in units of the columns' ranges."""
        if self.random is None:
            return replace(rows, x=rows.x0, memory={"relaxed": rows.x0})
        seed, stream, draw = self.random
        width = rows.x0.shape[1:]
        slope = randomness.normal(rows.ids_A, width, seed=seed, stream=stream, draw=draw)
        x = self.rows.steepest(slope / self.rows.range_W, rows.x0)
        return replace(rows, x=x, memory={"relaxed": x})

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """Cross-entropy."""
        return functional.cross_entropy(logits_AK, rows.y_A, reduction="none")

    def step(self, rows: Rows, seen: Seen, iteration: int) -> Rows:
        """Mix the best row of the linearised model in, and settle."""
        assert seen.grad is not None
        vertex = self.rows.steepest(seen.grad, rows.x0)
        relaxed = rows.memory["relaxed"].lerp(vertex, 2 / (iteration + 2))
        x = vertex if iteration == 0 else self.rows.settle(relaxed, rows.x0)
        return replace(rows, x=x, memory={"relaxed": relaxed})


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`restarts` runs of `steps` gradients, the first from the clean row."""

    name: ClassVar[str] = "table"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l1", "linf"})
    modality: ClassVar[Modality] = "tabular"
    knowledge: ClassVar[Knowledge] = "white"

    steps: int = 20
    restarts: int = 3
    batch_size: int = 1024

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
        """Attack encoded rows. Raises `UsageError` for another norm, another space or a row that is NaN."""
        if threat.norm not in self.norms or not isinstance(space, TableSchema):
            raise UsageError("attack 'table' is for encoded table rows, with norm 'l1' or 'linf'")
        if x.shape[1:] != (space.width,) or not bool(x.isfinite().all()):
            raise UsageError(f"rows must be finite and {space.width} slots wide, got {tuple(x.shape)}")
        rows = FeasibleRows(space, threat.norm, threat.eps, x.device)
        rules: list[Rule] = [Clean()]
        if threat.eps > 0:
            starts = [None, *((seed, self.name, draw) for draw in range(1, self.restarts))]
            rules = [_ConditionalGradient(rows, self.steps, start) for start in starts]
        ids_B = example_ids(ids, len(x), x.device)
        return engine.run(
            rules,
            classifier,
            x,
            y_B,
            region=rows,
            ids_B=ids_B,
            batch_size=self.batch_size,
            budget=threat.budget,
        )
