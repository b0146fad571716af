"""Input spaces: what an adversary may change, and within which bounds.

Legend for shapes: B examples, C channels, H×W pixels, D table columns, W encoded table width.
A table row is encoded as one float vector of width W: a real or integer column takes one slot with
its raw value, a category takes one slot per level (one-hot). Spaces are plain data; they import no
tensor library so that a spec can be validated without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

__all__ = ["Column", "ImageBox", "InputSpace", "TableSchema", "TokenSpace"]


@dataclass(frozen=True, slots=True)
class ImageBox:
    """Images of `shape` (C, H, W), or feature vectors (W,), whose every value lies in [low, high]."""

    shape: tuple[int, ...]
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, slots=True)
class TokenSpace:
    """Texts: at most `max_length` tokens from a vocabulary of about `vocabulary` entries."""

    vocabulary: int
    max_length: int


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table and what an adversary may do with it.

    `low`/`high` bound real and integer columns (the range seen in the training split), `categories`
    are the levels of a category, `monotone` says in which direction alone the value may move, and
    `cost` scales a change in a budget (1 = one full range, or one changed category).
    """

    name: str
    kind: Literal["real", "integer", "category"]
    low: float = 0.0
    high: float = 1.0
    categories: tuple[str, ...] = ()
    mutable: bool = True
    monotone: Literal["none", "increasing", "decreasing"] = "none"
    cost: float = 1.0

    @property
    def width(self) -> int:
        """Slots this column takes in the encoded row."""
        return len(self.categories) if self.kind == "category" else 1


@dataclass(frozen=True)  # without slots: what is cached needs a place
class TableSchema:
    """The columns of a table, in the order of the encoded row."""

    columns: tuple[Column, ...]

    @property
    def width(self) -> int:
        """Length W of an encoded row."""
        return sum(column.width for column in self.columns)

    @cached_property
    def slices(self) -> Mapping[str, slice]:
        """Where each column lies in the encoded row."""
        result: dict[str, slice] = {}
        start = 0
        for column in self.columns:
            result[column.name] = slice(start, start + column.width)
            start += column.width
        return result


InputSpace = ImageBox | TokenSpace | TableSchema
