"""What fairness needs to know of N examples, counted once: everything after is arithmetic on a small table.

One row a combination that occurs of groups × label × prediction, with its number of examples; besides, one
row a combination of groups × label × bin of the positive class's score. Rows may come from memory, from the
ledger or from files larger than memory (Polars streams them). Tallies of shards add. A missing value of an
attribute is the level "unknown". Scores lie in [0, 1]; bin b of `BINS` holds b/BINS ≤ score < (b + 1)/BINS,
and the last one also 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.fairness.counting.cells import UNKNOWN, Axis, Cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BINS", "JOINED", "Tally"]

BINS = 4096
JOINED = " & "
"""Between the levels of an intersection: "Female & Black"."""

_COUNTS = ("n",)


@dataclass(frozen=True, slots=True)
class Tally:
    """`table` has the columns `attributes` (String), label, predicted (class indices) and n; without labels
    (a hiring tool's selections, say) label is null throughout. `scores`, None where the model gives none, has
    `attributes`, label, bin and n.
    """

    attributes: tuple[str, ...]
    classes: tuple[str, ...]
    positive: int | None
    table: pl.DataFrame
    scores: pl.DataFrame | None = None

    @classmethod
    def of(
        cls,
        rows: pl.DataFrame | pl.LazyFrame,
        *,
        attributes: Sequence[str],
        classes: Sequence[str],
        positive: int | None,
    ) -> Tally:
        """Count rows with the columns `attributes`, label, predicted and, if any, score (of `positive`)."""
        lazy = rows.lazy()
        held = lazy.collect_schema().names()
        levels = [pl.col(name).cast(pl.String).fill_null(UNKNOWN) for name in attributes]
        whole = [pl.col("label").cast(pl.Int64), pl.col("predicted").cast(pl.Int64)]
        counted = lazy.select(*levels, *whole).group_by(*attributes, "label", "predicted").agg(n=pl.len())
        queries = [counted]
        if "score" in held:
            binned = (pl.col("score").cast(pl.Float64) * BINS).floor().clip(0, BINS - 1).cast(pl.Int64)
            scored = lazy.filter(pl.col("score").is_not_null()).select(*levels, whole[0], bin=binned)
            queries.append(scored.group_by(*attributes, "label", "bin").agg(n=pl.len()))
        table, *rest = pl.collect_all(queries, engine="streaming")
        return cls(
            tuple(attributes),
            tuple(classes),
            positive,
            _ordered(table),
            _ordered(rest[0]) if rest else None,
        )

    @property
    def total(self) -> int:
        """The number of examples."""
        return int(self.table["n"].sum())

    @property
    def labelled(self) -> bool:
        """Whether the examples have labels: rates that condition on them exist."""
        return self.table["label"].null_count() == 0

    def __add__(self, other: Tally) -> Tally:
        """The counts of both; attributes, classes and the positive class must be the same."""
        ours, theirs = ((t.attributes, t.classes, t.positive) for t in (self, other))
        if ours != theirs or (self.scores is None) != (other.scores is None):
            raise ValueError("tallies of different attributes, classes or scores do not add")
        scores = None
        if self.scores is not None and other.scores is not None:
            scores = _summed(pl.concat([self.scores, other.scores]))
        table = _summed(pl.concat([self.table, other.table]))
        return Tally(self.attributes, self.classes, self.positive, table, scores)

    def cells(self, *attributes: str) -> Cells:
        """Counts with the axes group, label, predicted; of several attributes, the groups are intersections.

        Raises `ValueError` without labels.
        """
        if not self.labelled:
            raise ValueError("examples without labels have no confusion matrix")
        axes = [Axis("label", self.classes), Axis("predicted", self.classes)]
        return _cube(self.table, attributes, axes)

    def selections(self, *attributes: str) -> Cells:
        """Counts with the axes group, predicted: what can be said without labels."""
        return _cube(self.table, attributes, [Axis("predicted", self.classes)])

    def histograms(self, *attributes: str) -> Cells:
        """Counts with the axes group, label, bin. Raises `ValueError` without scores or labels."""
        if self.scores is None or not self.labelled:
            raise ValueError("no score histogram without scores and labels")
        axes = [Axis("label", self.classes), Axis("bin", tuple(map(str, range(BINS))))]
        return _cube(self.scores, attributes, axes)


def _cube(table: pl.DataFrame, attributes: Sequence[str], axes: Sequence[Axis]) -> Cells:
    """A dense margin; the axes after the first hold positions already."""
    groups = table.select(pl.concat_str(attributes, separator=JOINED))[attributes[0]]
    group = Axis.of("group", groups)
    shape = (len(group.levels), *(len(axis.levels) for axis in axes))
    codes: list[NDArray[np.int64]] = [group.codes(groups), *(table[axis.name].to_numpy() for axis in axes)]
    flat_U = np.ravel_multi_index(tuple(codes), shape)
    counts = np.bincount(flat_U, weights=table["n"].to_numpy(), minlength=int(np.prod(shape)))
    return Cells((group, *axes), counts.astype(np.int64).reshape(shape))


def _summed(table: pl.DataFrame) -> pl.DataFrame:
    keys = [name for name in table.columns if name not in _COUNTS]
    return _ordered(table.group_by(*keys).agg(pl.col(*_COUNTS).sum()))


def _ordered(table: pl.DataFrame) -> pl.DataFrame:
    """In one order whatever the order of the rows was."""
    keys = [name for name in table.columns if name not in _COUNTS]
    return table.with_columns(pl.col(*_COUNTS).cast(pl.Int64)).sort(keys)
