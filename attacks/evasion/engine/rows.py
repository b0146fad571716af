"""The active set of an attack: a structure of arrays that only ever holds what is still standing.

Legend: A active rows, K classes, … the shape of one input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

__all__ = ["Rows", "chunked", "closed_up", "example_ids", "joined"]


@dataclass(frozen=True, slots=True)
class Rows:
    """A chunk of the active set: one row for each try at a standing example, aligned across all arrays.

    `index_A` places a row in the caller's batch, `x0` is the clean input, `x` the iterate, `clean_AK` the
    logits at the clean input, `try_A` which of a rule's tries (restart, target class) the row is. `memory`
    is the rule's own (momentum, step sizes, best iterates…), any tensors whose first dimension is A.
    """

    index_A: Tensor
    ids_A: Tensor
    y_A: Tensor
    x0: Tensor
    x: Tensor
    clean_AK: Tensor
    try_A: Tensor
    memory: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.index_A)

    def take(self, index: Tensor | slice) -> Rows:
        """The rows that `index` selects."""
        return _mapped(lambda arrays: arrays[0][index], [self])


def _mapped(combine: Callable[[list[Tensor]], Tensor], parts: Sequence[Rows]) -> Rows:
    """Rows whose every array is `combine` of that array in all parts."""

    def one(name: str) -> Tensor:
        return combine([getattr(rows, name) for rows in parts])

    return Rows(
        index_A=one("index_A"),
        ids_A=one("ids_A"),
        y_A=one("y_A"),
        x0=one("x0"),
        x=one("x"),
        clean_AK=one("clean_AK"),
        try_A=one("try_A"),
        memory={name: combine([rows.memory[name] for rows in parts]) for name in parts[0].memory},
    )


def joined(parts: Sequence[Rows]) -> Rows:
    """All rows of at least one part, in order."""
    return parts[0] if len(parts) == 1 else _mapped(torch.cat, parts)


def chunked(rows: Rows, batch_size: int) -> list[Rows]:
    """Chunks as even as they can be: no forward is spent on a remainder of three rows."""
    chunks = math.ceil(len(rows) / batch_size)
    if chunks <= 1:
        return [rows] * chunks
    bounds = [len(rows) * chunk // chunks for chunk in range(chunks + 1)]
    return [rows.take(slice(low, high)) for low, high in pairwise(bounds)]


def closed_up(chunks: list[Rows], batch_size: int) -> list[Rows]:
    """The same rows in as few chunks as hold them."""
    chunks = [rows for rows in chunks if len(rows)]
    if len(chunks) == math.ceil(sum(map(len, chunks)) / batch_size):
        return chunks
    return chunked(joined(chunks), batch_size)


def example_ids(ids: Sequence[int] | Tensor | None, count: int, device: torch.device) -> Tensor:
    """Ids as int64 on `device`; 0…count−1 where none were given."""
    ids_B = torch.arange(count) if ids is None else torch.as_tensor(ids, dtype=torch.int64)
    assert len(ids_B) == count, "one id for each example"
    return ids_B.to(device)
