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

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from raiaudit.attacks import randomness
from raiaudit.attacks.evasion import engine
from raiaudit.attacks.evasion.base import AttackResult, EvasionAttack, LogitsOf, Modality
from raiaudit.attacks.evasion.engine.rows import Rows, example_ids
from raiaudit.attacks.evasion.engine.rules import Clean, Rule, Seen
from raiaudit.attacks.evasion.tables.feasible import FeasibleRows
from raiaudit.attacks.spaces import InputSpace, TableSchema
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel
from raiaudit.errors import UsageError

__all__ = ["GradientTableAttack", "Table", "feasible_rows", "random_vertex"]


@dataclass(frozen=True, slots=True)
class _ConditionalGradient(Rule):
    """One run, from the clean row or from a random reachable one: (seed, stream, draw)."""

    name = "table"

    rows: FeasibleRows
    steps: int
    random: tuple[int, str, int] | None = None

    def start(self, rows: Rows) -> Rows:
        """The clean row, or a random vertex."""
        if self.random is None:
            return replace(rows, x=rows.x0, memory={"relaxed": rows.x0})
        x = random_vertex(self.rows, rows.x0, rows.ids_A, self.random)
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


def feasible_rows(attack: EvasionAttack, x: Tensor, threat: ThreatModel, space: InputSpace) -> FeasibleRows:
    """What an attack on a table may reach.

    Raises `UsageError` for a norm the attack does not have, another space, or a row that is NaN.
    """
    if threat.norm not in attack.norms or not isinstance(space, TableSchema):
        norms = ", ".join(repr(norm) for norm in sorted(attack.norms))
        raise UsageError(f"attack {attack.name!r} is for encoded table rows, with norm {norms}")
    if x.shape[1:] != (space.width,) or not bool(x.isfinite().all()):
        raise UsageError(f"rows must be finite and {space.width} slots wide, got {tuple(x.shape)}")
    return FeasibleRows(space, threat.norm, threat.eps, x.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientTableAttack(ABC):
    """`restarts` runs of `steps` gradients, the first from the clean row, the others from random ones."""

    name: ClassVar[str]
    norms: ClassVar[frozenset[Norm]]
    modality: ClassVar[Modality] = "tabular"
    knowledge: ClassVar[Knowledge] = "white"

    steps: int = 20
    restarts: int = 3
    batch_size: int = 1024

    @abstractmethod
    def rule(self, rows: FeasibleRows, start: tuple[int, str, int] | None) -> Rule:
        """One run, from the clean row or from the random one that (seed, stream, draw) names."""

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
        """Attack encoded rows; errors as in `feasible_rows` and `engine.run`."""
        rows = feasible_rows(self, x, threat, space)
        rules: list[Rule] = [Clean()]
        if threat.eps > 0:
            starts = [None, *((seed, self.name, draw) for draw in range(1, self.restarts))]
            rules = [self.rule(rows, start) for start in starts]
        return engine.run(
            rules,
            classifier,
            x,
            y_B,
            region=rows,
            ids_B=example_ids(ids, len(x), x.device),
            batch_size=self.batch_size,
            budget=threat.budget,
        )


def random_vertex(rows: FeasibleRows, x0: Tensor, ids_A: Tensor, start: tuple[int, str, int]) -> Tensor:
    """The best row of a random linear function in units of the columns' ranges."""
    seed, stream, draw = start
    slope = randomness.normal(ids_A, x0.shape[1:], seed=seed, stream=stream, draw=draw)
    return rows.steepest(slope / rows.range_W, x0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(GradientTableAttack):
    """Frank and Wolfe's steps: 2 / (t + 2) of the way to the best row of the linearised model."""

    name: ClassVar[str] = "table"
    norms: ClassVar[frozenset[Norm]] = frozenset({"l1", "linf"})

    def rule(self, rows: FeasibleRows, start: tuple[int, str, int] | None) -> Rule:
        """Conditional gradient."""
        return _ConditionalGradient(rows, self.steps, start)
