"""Count once, then everything is arithmetic on cells.

N examples become one integer each (a mixed-radix code over the axes: group columns, label, prediction,
any further outcome), and one `bincount` makes the cube. Counts of shards add; a margin is a sum over axes;
a bootstrap of the rows is a multinomial draw of the cells, identically distributed for any count metric.
A missing value is the level "unknown", never a dropped row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["UNKNOWN", "Axis", "Cells"]

UNKNOWN = "unknown"
_MOST_CELLS = 1 << 26


@dataclass(frozen=True, slots=True)
class Axis:
    """A named axis and its levels, in order."""

    name: str
    levels: tuple[str, ...]

    @classmethod
    def of(cls, name: str, values: pl.Series) -> Axis:
        """The levels found in `values`, sorted; null is `UNKNOWN`, which comes last."""
        found = set(values.cast(pl.String).fill_null(UNKNOWN).unique())
        return cls(name, (*sorted(found - {UNKNOWN}), *sorted(found & {UNKNOWN})))

    def codes(self, values: pl.Series) -> NDArray[np.int64]:
        """Positions of `values` in `levels`. Raises `ValueError` for a value that is no level."""
        text = values.cast(pl.String).fill_null(UNKNOWN)
        position = {level: index for index, level in enumerate(self.levels)}
        codes = text.replace_strict(position, default=None, return_dtype=pl.Int64)
        if codes.null_count():
            stranger = text.filter(codes.is_null())[0]
            raise ValueError(f"{stranger!r} is no level of {self.name}: {', '.join(self.levels)}")
        return codes.to_numpy()


@dataclass(frozen=True, slots=True)
class Cells:
    """`counts` is an int64 cube with one dimension an axis, in the order of `axes`."""

    axes: tuple[Axis, ...]
    counts: NDArray[np.int64]

    @classmethod
    def count(cls, axes: Sequence[Axis], codes: Sequence[NDArray[np.int64]]) -> Cells:
        """Count N examples, given their position on every axis.

        Raises `ValueError` when the cube would have more than 2²⁶ cells.
        """
        shape = tuple(len(axis.levels) for axis in axes)
        size = math.prod(shape)
        if size > _MOST_CELLS:
            raise ValueError(f"{size} cells of {' × '.join(axis.name for axis in axes)} are too many")
        flat_N = np.ravel_multi_index(tuple(codes), shape)
        return cls(tuple(axes), np.bincount(flat_N, minlength=size).reshape(shape))

    def __add__(self, other: Cells) -> Cells:
        """The counts of both parts; the axes must be the same."""
        if self.axes != other.axes:
            raise ValueError("cells with different axes do not add")
        return Cells(self.axes, self.counts + other.counts)

    def margin(self, *names: str) -> Cells:
        """Summed over all axes but `names`, which come in the order given."""
        position = {axis.name: index for index, axis in enumerate(self.axes)}
        kept = [position[name] for name in names]
        summed = self.counts.sum(axis=tuple(set(position.values()) - set(kept)))
        order = np.argsort(np.argsort(kept))
        return Cells(tuple(self.axes[index] for index in kept), summed.transpose(order))

    def resample(self, rng: np.random.Generator, times: int) -> NDArray[np.int64]:
        """`times` bootstrap replicates of the N rows: counts with a leading axis of that length."""
        total = int(self.counts.sum())
        drawn = rng.multinomial(total, self.counts.ravel() / total, size=times)
        return drawn.reshape(times, *self.counts.shape)

    def table(self, attribute: str) -> pl.DataFrame:
        """One row a cell that is not empty: `attribute`, the levels of every axis, n."""
        filled = np.nonzero(self.counts)
        columns = {
            axis.name: pl.Series(axis.levels, dtype=pl.String).gather(index)
            for axis, index in zip(self.axes, filled, strict=True)
        }
        n = self.counts[filled]
        return pl.DataFrame(
            {"attribute": pl.Series([attribute] * len(n), dtype=pl.String), **columns, "n": n}
        )
