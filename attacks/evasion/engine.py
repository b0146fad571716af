"""The loop that gradient attacks share: an active set that only ever holds what is still standing.

An attack supplies `Rule`s — where to start, what to ascend, how to step; restarts and ensembles are
simply several rules, tried in turn on the survivors. The engine owns everything else:

- the set: a structure of arrays, advanced in lock step, in chunks of `batch_size` rows for memory;
- success, tested on the very forward that gives the gradient; a broken example keeps that iterate and
  leaves, and chunks are closed up and merged as they empty;
- no backward at a last iterate; parameters frozen, so that a backward is one to the input alone;
- every success classified once more at another batch size, its norm and box recomputed; what does not
  hold returns to the set;
- the passes: `forwards_B` counts every row put through the model (the second look included);
  `backwards_B` counts the gradients an example used (one that breaks on the same forward on which a
  neighbour stands rides through that backward for nothing, uncounted).

What is guaranteed: an example's starts and noise depend on (seed, attack, id) alone, never on its
neighbours, batch, order or shard. Convolutions and matrix products may differ in their last bits between
batch sizes, so iterates can differ by as much; what is returned as broken was seen broken twice.

Legend: B the caller's rows, A the active rows, K classes, … the shape of one input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, prepared
from raiaudit.errors import CapabilityError

__all__ = ["Clean", "Reach", "Rows", "Rule", "errs", "example_ids", "run"]

WAVE_CHUNKS = 16
"""Chunks advanced together: enough for survivors to merge into full ones, few enough for memory."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A chunk of the active set: one row for each standing example, aligned across all arrays.

    `index_A` places a row in the caller's batch, `x0` is the clean input, `x` the iterate. `memory` is
    the rule's own (momentum, step sizes, best iterates…), any tensors whose first dimension is A.
    """

    index_A: Tensor
    ids_A: Tensor
    y_A: Tensor
    x0: Tensor
    x: Tensor
    memory: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.index_A)

    def take(self, index: Tensor | slice) -> Rows:
        """The rows that `index` selects."""
        return Rows(
            self.index_A[index],
            self.ids_A[index],
            self.y_A[index],
            self.x0[index],
            self.x[index],
            {name: values[index] for name, values in self.memory.items()},
        )


class Rule(Protocol):
    """One ascent: `steps` gradients, `steps + 1` iterates."""

    @property
    def steps(self) -> int:
        """Gradients per example."""
        ...

    def start(self, rows: Rows) -> Rows:
        """The rows at their first iterate, with fresh memory."""
        ...

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """What to ascend: loss_A."""
        ...

    def step(self, rows: Rows, loss_A: Tensor, grad: Tensor, iteration: int) -> Rows:
        """The rows at their next iterate, which must lie in the region."""
        ...


class Reach(Protocol):
    """What an adversary can reach: how far an input has moved, and whether that is allowed."""

    def distance(self, x: Tensor, x0: Tensor) -> Tensor:
        """Distance of each row in the threat's norm, float64."""
        ...

    def contains(self, x: Tensor, x0: Tensor) -> Tensor:
        """Which rows are within reach (bool)."""
        ...


@dataclass(frozen=True, slots=True)
class Clean:
    """The rule that does nothing: it retires clean errors, at one forward and no gradient."""

    steps: int = 0

    def start(self, rows: Rows) -> Rows:
        """The clean input itself."""
        return replace(rows, x=rows.x0, memory={})

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """Never asked for: there are no steps."""
        raise AssertionError

    def step(self, rows: Rows, loss_A: Tensor, grad: Tensor, iteration: int) -> Rows:
        """Never asked for: there are no steps."""
        raise AssertionError


def errs(logits_AK: Tensor, y_A: Tensor) -> Tensor:
    """Which rows are misclassified (bool A); an output with NaN is an error too."""
    wrong_A: Tensor = (logits_AK.argmax(1) != y_A) | logits_AK.isnan().any(1)
    return wrong_A


def example_ids(ids: Sequence[int] | Tensor | None, count: int, device: torch.device) -> Tensor:
    """Ids as int64 on `device`; 0…count−1 where none were given."""
    ids_B = torch.arange(count) if ids is None else torch.as_tensor(ids, dtype=torch.int64)
    assert len(ids_B) == count, "one id for each example"
    return ids_B.to(device)


@dataclass(slots=True)
class _Tally:
    """What is known so far about each of the caller's examples."""

    adversarial: Tensor
    broken_B: Tensor
    forwards_B: Tensor
    backwards_B: Tensor

    @classmethod
    def of(cls, x: Tensor) -> _Tally:
        count = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        return cls(x.detach().clone(), count.bool(), count.clone(), count.clone())

    def record(self, rows: Rows) -> None:
        self.adversarial[rows.index_A] = rows.x
        self.broken_B[rows.index_A] = True


def run(
    rules: Sequence[Rule],
    classifier: LogitsOf,
    x: Tensor,
    y_B: Tensor,
    *,
    region: Reach,
    ids_B: Tensor,
    batch_size: int,
    budget: int | None = None,
) -> AttackResult:
    """Try the rules in turn on what the ones before left standing.

    `budget` caps the forwards spent on each example, the second look at a success included. Raises
    `CapabilityError` if the classifier has no gradient or answers NaN to a clean input.
    """
    tally = _Tally.of(x)
    clean = Rows(torch.arange(len(x), device=x.device), ids_B, y_B, x.detach(), x.detach())
    with prepared(classifier):
        for first in range(0, len(x), WAVE_CHUNKS * batch_size):
            standing = clean.take(slice(first, first + WAVE_CHUNKS * batch_size))
            for rule in rules:
                spent = int(tally.forwards_B[standing.index_A].max()) if len(standing) else 0
                if not len(standing) or (budget is not None and spent + 2 > budget and spent > 0):
                    break
                steps = rule.steps if budget is None else max(0, min(rule.steps, budget - spent - 2))
                found = _pursue(rule, steps, classifier, standing, tally, batch_size)
                for rows in found:
                    _look_again(classifier, rows, region, tally)
                standing = standing.take(~tally.broken_B[standing.index_A])
    return AttackResult(
        tally.adversarial,
        tally.broken_B,
        region.distance(tally.adversarial, x.detach()).float(),
        tally.forwards_B,
        tally.backwards_B,
    )


def _pursue(
    rule: Rule, steps: int, classifier: LogitsOf, standing: Rows, tally: _Tally, batch_size: int
) -> list[Rows]:
    """Advance all rows in lock step until they break or the steps are spent; returns what broke."""
    chunks = [rule.start(rows) for rows in _chunked(standing, batch_size)]
    found: list[Rows] = []
    for iteration in range(steps + 1):
        kept = []
        for rows in chunks:
            alive, broken = _advance(rule, classifier, rows, tally, iteration, last=iteration == steps)
            kept.append(alive)
            found.append(broken)
        chunks = _closed_up(kept, batch_size)
    return _closed_up(found, max(1, batch_size // 2))


def _advance(
    rule: Rule, classifier: LogitsOf, rows: Rows, tally: _Tally, iteration: int, *, last: bool
) -> tuple[Rows, Rows]:
    """One forward, and one step for those that withstood it: (standing rows, broken rows)."""
    x = rows.x.detach().requires_grad_(not last)
    with torch.set_grad_enabled(not last):
        logits_AK = classifier(x)
    tally.forwards_B[rows.index_A] += 1
    broken_A = errs(logits_AK.detach(), rows.y_A)
    if iteration == 0 and rows.x is rows.x0 and bool(logits_AK.isnan().any()):
        raise CapabilityError("the classifier answers NaN to a clean input", remedy="mend the model first")

    survivors = (~broken_A).nonzero().squeeze(1)
    everyone = len(survivors) == len(rows)
    alive = rows if everyone else rows.take(survivors)
    if not last and len(alive):
        if not logits_AK.requires_grad:
            raise CapabilityError(
                "the classifier gives no gradient with respect to its input",
                remedy="attack it as a black box, for instance with `boundary`",
            )
        with torch.enable_grad():
            loss_A = rule.loss(logits_AK, rows)
        (grad,) = torch.autograd.grad(loss_A.sum(), x)
        tally.backwards_B[alive.index_A] += 1
        loss_A = loss_A.detach()
        if not everyone:
            loss_A, grad = loss_A[survivors], grad[survivors]
        alive = rule.step(alive, loss_A, grad, iteration)
    return alive, rows.take(broken_A)


def _look_again(classifier: LogitsOf, rows: Rows, region: Reach, tally: _Tally) -> None:
    """Record the successes that hold when classified anew; a clean error needs no second look."""
    moved_A = (rows.x != rows.x0).flatten(1).any(1)
    tally.record(rows.take(~moved_A))
    rows = rows.take(moved_A)
    if len(rows):
        assert bool(region.contains(rows.x, rows.x0).all()), "a rule stepped out of its region"
        with torch.no_grad():
            holds_A = errs(classifier(rows.x), rows.y_A)
        tally.forwards_B[rows.index_A] += 1
        tally.record(rows.take(holds_A))


def _chunked(rows: Rows, batch_size: int) -> list[Rows]:
    """Chunks as even as they can be: no forward is spent on a remainder of three rows."""
    chunks = math.ceil(len(rows) / batch_size)
    bounds = [len(rows) * chunk // chunks for chunk in range(chunks + 1)]
    return [rows.take(slice(low, high)) for low, high in pairwise(bounds)]


def _closed_up(chunks: list[Rows], batch_size: int) -> list[Rows]:
    """The same rows in as few chunks as hold them."""
    chunks = [rows for rows in chunks if len(rows)]
    total = sum(map(len, chunks))
    if len(chunks) == math.ceil(total / batch_size):
        return chunks
    memory = {name: torch.cat([rows.memory[name] for rows in chunks]) for name in chunks[0].memory}
    merged = Rows(
        torch.cat([rows.index_A for rows in chunks]),
        torch.cat([rows.ids_A for rows in chunks]),
        torch.cat([rows.y_A for rows in chunks]),
        torch.cat([rows.x0 for rows in chunks]),
        torch.cat([rows.x for rows in chunks]),
        memory,
    )
    return _chunked(merged, batch_size)
