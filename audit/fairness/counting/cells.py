"""Count once, then everything is arithmetic on cells.

N examples become one integer each (a mixed-radix code over the axes: group columns, label, prediction,
any further outcome), and one `bincount` makes the cube. Counts of shards add; a margin is a sum over axes;
a bootstrap of the rows is a multinomial draw of the cells, identically distributed for any count metric.
A missing value is the level "unknown", never a dropped row. Where rows have weights, a cell also has Σw and
Σw², which add as counts do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["UNKNOWN", "Axis", "Cells", "require_size"]

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


def require_size(axes: Sequence[Axis]) -> tuple[int, ...]:
    """The shape of a cube. Raises `ValueError` when it would have more than 2²⁶ cells."""
    shape = tuple(len(axis.levels) for axis in axes)
    size = math.prod(shape)
    if size > _MOST_CELLS:
        raise ValueError(f"{size} cells of {' × '.join(axis.name for axis in axes)} are too many")
    return shape


@dataclass(frozen=True, slots=True)
class Cells:
    """`counts` is an int64 cube with one dimension an axis, in the order of `axes`.

    `weights` and `squares`, Σw and Σw² of the rows of each cell, are None where every row counts once.
    """

    axes: tuple[Axis, ...]
    counts: NDArray[np.int64]
    weights: NDArray[np.float64] | None = None
    squares: NDArray[np.float64] | None = None

    @classmethod
    def count(cls, axes: Sequence[Axis], codes: Sequence[NDArray[np.int64]]) -> Cells:
        """Count N examples, given their position on every axis.

        Raises `ValueError` when the cube would have more than 2²⁶ cells.
        """
        shape = require_size(axes)
        flat_N = np.ravel_multi_index(tuple(codes), shape)
        return cls(tuple(axes), np.bincount(flat_N, minlength=math.prod(shape)).reshape(shape))

    @property
    def totals(self) -> NDArray[np.int64] | NDArray[np.float64]:
        """What rates are made of: Σw, or the counts where nothing is weighted."""
        return self.counts if self.weights is None else self.weights

    def __add__(self, other: Cells) -> Cells:
        """The counts of both parts; the axes must be the same."""
        if self.axes != other.axes or (self.weights is None) != (other.weights is None):
            raise ValueError("cells with different axes, or with weights and without, do not add")
        pairs = zip(self._cubes(), other._cubes(), strict=True)
        cubes: list[Any] = [None if a is None else a + b for a, b in pairs]
        return Cells(self.axes, *cubes)

    def margin(self, *names: str) -> Cells:
        """Summed over all axes but `names`, which come in the order given."""
        position = {axis.name: index for index, axis in enumerate(self.axes)}
        kept = [position[name] for name in names]
        gone, order = tuple(set(position.values()) - set(kept)), np.argsort(np.argsort(kept))
        cubes: list[Any] = [
            None if cube is None else cube.sum(axis=gone).transpose(order) for cube in self._cubes()
        ]
        return Cells(tuple(self.axes[index] for index in kept), *cubes)

    def _cubes(self) -> tuple[Any, ...]:
        return self.counts, self.weights, self.squares

    def resample(self, rng: np.random.Generator, times: int) -> NDArray[Any]:
        """`times` bootstrap replicates of the N rows: `totals` with a leading axis of that length.

        With weights each cell is a stratum of Poisson bootstrap (every row is drawn Poisson(1) times),
        matched in the mean Σw and the variance Σw²; exact where the rows of a cell have one weight.
        """
        if self.weights is not None and self.squares is not None:
            filled = self.squares > 0
            size = np.divide(self.weights, self.squares, out=np.zeros_like(self.weights), where=filled)
            unit = np.divide(1.0, size, out=np.zeros_like(size), where=filled)
            return np.asarray(rng.poisson(self.weights * size, size=(times, *size.shape)) * unit)
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
