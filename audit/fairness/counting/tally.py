"""What fairness needs to know of N examples, counted once: everything after is arithmetic on a small table.

One row a combination that occurs of groups × label × prediction, with its number of examples; besides, one
row a combination of groups × label × bin of the positive class's score. Rows may come from memory, from the
ledger or from files larger than memory (Polars streams them). Tallies of shards add. A missing value of an
attribute is the level "unknown". Scores lie in [0, 1]; bin b of `BINS` holds b/BINS ≤ score < (b + 1)/BINS,
and the last one also 1.

Rows may have a `weight` (every count is then kept as n, Σw and Σw²) and a `cluster`, the person or document a
row belongs to: its rows are no independent evidence, so that its counts are kept apart as well. Shards add
exactly also where a cluster has rows in several of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.fairness.counting.cells import UNKNOWN, Axis, Cells, require_size
from raiaudit.audit.fairness.counting.clusters import Clusters, Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BINS", "JOINED", "TAKEN", "Tally", "intersection"]

BINS = 4096
TAKEN = frozenset({"label", "predicted", "score", "bin", "weight", "cluster", "n", "squares"})
"""Names that no attribute can have: the tables' own columns."""
JOINED = " & "
"""Between the levels of an intersection: "Female & Black"."""


def intersection(attributes: Sequence[str]) -> pl.Expr:
    """The group of a row in all of these at once.

    Of several, a level that holds `JOINED` is quoted: “A & B” with C is not A with “B & C”.
    """
    if len(attributes) == 1:
        return pl.col(attributes[0])
    parts = [
        pl.when(pl.col(name).str.contains(JOINED, literal=True))
        .then(pl.format("“{}”", pl.col(name)))
        .otherwise(pl.col(name))
        for name in attributes
    ]
    return pl.concat_str(parts, separator=JOINED)


_COUNTS = ("n", "weight", "squares")
_N = pl.len().cast(pl.Int64).alias("n")
_WEIGHTED = (_N, pl.col("weight").sum(), (pl.col("weight") ** 2).sum().alias("squares"))


@dataclass(frozen=True, slots=True)
class Tally:
    """`table` has the columns `attributes` (String), label, predicted (class indices) and n; without labels
    (a hiring tool's selections, say) label is null throughout. `scores`, None where the model gives none, has
    `attributes`, label, bin and n. Both have weight (Σw) and squares (Σw²) where rows are weighted.
    `clusters`, None where rows are independent, is `table` by cluster and bin (null without a score).
    """

    attributes: tuple[str, ...]
    classes: tuple[str, ...]
    positive: int | None
    table: pl.DataFrame
    scores: pl.DataFrame | None = None
    clusters: pl.DataFrame | None = None

    @classmethod
    def of(
        cls,
        rows: pl.DataFrame | pl.LazyFrame,
        *,
        attributes: Sequence[str],
        classes: Sequence[str],
        positive: int | None,
    ) -> Tally:
        """Count rows with the columns `attributes`, label, predicted and, if any, score (of `positive`),
        weight and cluster.

        Raises `ValueError` for weights that are negative, missing or no numbers and for missing clusters.
        """
        lazy = rows.lazy()
        held = lazy.collect_schema().names()
        keys = [pl.col(name) for name in attributes]
        keys += [pl.col("label").cast(pl.Int64), pl.col("predicted").cast(pl.Int64)]
        if "score" in held:
            score = pl.col("score").cast(pl.Float64)
            keys.append((score * BINS).floor().clip(0, BINS - 1).cast(pl.Int64).alias("bin"))
        counts: tuple[pl.Expr, ...] = (_N,)
        if "weight" in held:
            weight = pl.col("weight").cast(pl.Float64)
            # NaN survives every sum: one bad weight is found however many rows there are.
            keys.append(pl.when(weight >= 0).then(weight).otherwise(math.nan).alias("weight"))
            counts = _WEIGHTED
        if "cluster" in held:
            keys.append(pl.col("cluster").cast(pl.String))
        coded = lazy.select(*keys)
        queries = {"table": coded.group_by(*attributes, "label", "predicted").agg(*counts)}
        if "cluster" in held:
            apart = ("bin", "cluster") if "score" in held else ("cluster",)
            queries["clusters"] = coded.group_by(*attributes, "label", "predicted", *apart).agg(*counts)
        collected = pl.collect_all(list(queries.values()), engine="streaming")
        found = {key: _named(counted, attributes) for key, counted in zip(queries, collected, strict=True)}
        if "score" in held:
            found["scores"] = _score_cells(coded, found["table"], attributes, len(classes), counts)
        _require_sound(found)
        return cls(tuple(attributes), tuple(classes), positive, **found)

    @property
    def total(self) -> int:
        """The number of examples."""
        return int(self.table["n"].sum())

    @property
    def labelled(self) -> bool:
        """Whether the examples have labels: rates that condition on them exist."""
        return self.table["label"].null_count() == 0

    @property
    def weighted(self) -> bool:
        """Whether rows count by a weight."""
        return "weight" in self.table.columns

    def __add__(self, other: Tally) -> Tally:
        """The counts of both; attributes, classes, the positive class and the columns must be the same."""
        ours, theirs = ((t.attributes, t.classes, t.positive) for t in (self, other))
        pairs = [(self.table, other.table), (self.scores, other.scores), (self.clusters, other.clusters)]
        if ours != theirs or any(_columns(a) != _columns(b) for a, b in pairs):
            raise ValueError(
                "tallies do not add: their attributes, classes, scores, weights or clusters differ"
            )
        table, *rest = (None if a is None or b is None else _summed(pl.concat([a, b])) for a, b in pairs)
        assert table is not None
        return Tally(*ours, table, *rest)

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

    def sample(self, *attributes: str) -> Sample:
        """`cells`, or `selections` without labels, and what belongs together in them."""
        cells = self.cells(*attributes) if self.labelled else self.selections(*attributes)
        if self.clusters is None:
            return Sample(cells, None)
        rows = self.clusters.with_columns(group=intersection(attributes))
        return Sample(cells, Clusters.of(rows, cells.axes))

    def histograms(self, *attributes: str) -> Cells:
        """Counts with the axes group, label, bin. Raises `ValueError` without scores or labels."""
        if self.scores is None or not self.labelled:
            raise ValueError("no score histogram without scores and labels")
        axes = [Axis("label", self.classes), Axis("bin", tuple(map(str, range(BINS))))]
        return _cube(self.scores, attributes, axes)


def _cube(table: pl.DataFrame, attributes: Sequence[str], axes: Sequence[Axis]) -> Cells:
    """A dense margin; the axes after the first hold positions already."""
    groups = table.select(group=intersection(attributes))["group"]
    group = Axis.of("group", groups)
    shape = require_size((group, *axes))
    codes: list[NDArray[np.int64]] = [group.codes(groups), *(table[axis.name].to_numpy() for axis in axes)]
    flat_U = np.ravel_multi_index(tuple(codes), shape)

    def summed(name: str) -> NDArray[np.float64]:
        flat = np.bincount(flat_U, weights=table[name].to_numpy(), minlength=math.prod(shape))
        return flat.astype(np.float64).reshape(shape)

    counts = summed("n").astype(np.int64)
    if "weight" not in table.columns:
        return Cells((group, *axes), counts)
    return Cells((group, *axes), counts, summed("weight"), summed("squares"))


def _columns(table: pl.DataFrame | None) -> list[str] | None:
    return None if table is None else table.columns


def _named(counted: pl.DataFrame, attributes: Sequence[str]) -> pl.DataFrame:
    """With levels as text. Done after counting: to group every row by text takes twice as long."""
    return _summed(counted.with_columns(pl.col(*attributes).cast(pl.String).fill_null(UNKNOWN)))


def _score_cells(
    coded: pl.LazyFrame,
    table: pl.DataFrame,
    attributes: Sequence[str],
    classes: int,
    counts: Sequence[pl.Expr],
) -> pl.DataFrame:
    """Counts by attributes, label and bin, each cell one integer: there may be millions, and words are slow
    to group and to sort. `table` tells the levels.
    """
    levels = {name: table[name].unique().sort() for name in attributes}
    sizes = [*map(len, levels.values()), classes + 1, BINS]
    whole = pl.Int64 if math.prod(sizes) < 1 << 63 else pl.Int128
    parts = [
        pl.col(name).cast(pl.String).fill_null(UNKNOWN).cast(pl.Enum(names)).to_physical()
        for name, names in levels.items()
    ]
    parts += [pl.col("label").fill_null(-1) + 1, pl.col("bin")]
    code = pl.lit(0, dtype=whole)
    for size, part in zip(sizes, parts, strict=True):
        code = code * size + part.cast(whole)
    scored = coded.filter(pl.col("bin").is_not_null()).with_columns(cell=code)
    found = scored.group_by("cell").agg(*counts).collect(engine="streaming").sort("cell")
    columns: dict[str, pl.Series] = {}
    rest = found["cell"]
    for name, size in reversed(list(zip([*attributes, "label", "bin"], sizes, strict=True))):
        columns[name], rest = (rest % size).cast(pl.Int64), rest // size
    columns["label"] = (columns["label"] - 1).replace(-1, None)
    columns |= {name: names.gather(columns[name]) for name, names in levels.items()}
    return found.select(
        *(columns[name].alias(name) for name in (*attributes, "label", "bin")), pl.exclude("cell")
    )


def _require_sound(tables: dict[str, pl.DataFrame]) -> None:
    table, clusters = tables["table"], tables.get("clusters")
    if "weight" in table.columns and not table["squares"].is_finite().all():
        raise ValueError("a weight is a number of at least 0: some are negative, missing or infinite")
    if clusters is not None and clusters["cluster"].null_count():
        n = clusters.filter(pl.col("cluster").is_null())["n"].sum()
        raise ValueError(f"{n} rows belong to no cluster: give each its own name if it stands alone")


def _summed(table: pl.DataFrame) -> pl.DataFrame:
    keys = [name for name in table.columns if name not in _COUNTS]
    return _ordered(table.group_by(*keys).agg(pl.col(*(set(table.columns) - set(keys))).sum()))


def _ordered(table: pl.DataFrame) -> pl.DataFrame:
    """In one order whatever the order of the rows was."""
    keys = [name for name in table.columns if name not in _COUNTS]
    return table.select(*keys, *(name for name in _COUNTS if name in table.columns)).sort(keys)
