"""Answers held against each other: the pairs of the ledger, and what changed in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from raiaudit.audit.fairness.counterfactual.probe import ANSWER, PLACE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from raiaudit.audit.ledger import LedgerReader

__all__ = ["Changes", "Pairs", "by_levels", "pairs_of", "totals", "units_touched"]

_KEYS = ["source", "attribute", "unit"]
_SUMS = ("pairs", "changed", "gained", "lost", "score")


@dataclass(frozen=True, slots=True)
class Changes:
    """Sums over the answered pairs of each of C clusters; `score_C` is None where no pair has scores.

    `pairs_C` ≥ 1; `changed_C` pairs have another class, `gained_C` the positive class only after the change
    of level and `lost_C` only before; `score_C` sums the changes of the positive class's score. `unanswered`
    pairs are in none of them.
    """

    pairs_C: NDArray[np.int64]
    changed_C: NDArray[np.int64]
    gained_C: NDArray[np.int64]
    lost_C: NDArray[np.int64]
    score_C: NDArray[np.float64] | None
    unanswered: int

    @property
    def n(self) -> int:
        """Answered pairs."""
        return int(self.pairs_C.sum())


class Pairs(NamedTuple):
    """`across` levels, and `within` one: two answers of the same level in a unit (two names of one group),
    which differ for another reason than the group.

    One row a pair: source, attribute, unit, cluster, factual, from, to, from_id, to_id, from_class, to_class,
    from_score, to_score, and `changed`, `gained`, `lost`, `score` (null where an answer is).
    """

    across: pl.DataFrame
    within: pl.DataFrame


def pairs_of(ledger: LedgerReader, positive: int | None) -> Pairs:
    """All pairs of the ledger; `gained` and `lost` are null where no class is `positive`."""
    columns = {name: name.removeprefix("counterfactual.") for name in (*ANSWER, *PLACE)}
    if PLACE[0] not in ledger.columns():
        return _paired(_empty(columns), positive)
    rows = ledger.scan(*columns).drop_nulls(PLACE[0]).collect().rename(columns)
    return _paired(rows.explode([name.removeprefix("counterfactual.") for name in PLACE]), positive)


def _empty(columns: dict[str, str]) -> pl.DataFrame:
    kinds = {"class": pl.Int64, "score": pl.Float64, "factual": pl.Boolean}
    names = ["example_id", *columns.values()]
    return pl.DataFrame(schema={name: kinds.get(name, pl.String) for name in names})


def _paired(rows: pl.DataFrame, positive: int | None) -> Pairs:
    rows = rows.drop_nulls("attribute")
    own, other, neither = (
        rows.filter(choice) for choice in (pl.col("factual"), ~pl.col("factual"), pl.col("factual").is_null())
    )
    made = own.join(other, on=_KEYS, suffix="_to")
    given = neither.join(neither, on=_KEYS, suffix="_to")
    ordered = given.filter(pl.col("level") < pl.col("level_to"))
    alike = (pl.col("level") == pl.col("level_to")) & (pl.col("example_id") < pl.col("example_id_to"))
    return Pairs(_compared(pl.concat([made, ordered]), positive), _compared(given.filter(alike), positive))


def _compared(joined: pl.DataFrame, positive: int | None) -> pl.DataFrame:
    before, after = pl.col("class"), pl.col("class_to")
    gained = (after == positive) & (before != positive) if positive is not None else pl.lit(None, pl.Boolean)
    lost = (after != positive) & (before == positive) if positive is not None else pl.lit(None, pl.Boolean)
    return (
        joined.select(
            *_KEYS,
            "cluster",
            pl.col("factual").fill_null(False),
            pl.col("level").alias("from"),
            pl.col("level_to").alias("to"),
            pl.col("example_id").alias("from_id"),
            pl.col("example_id_to").alias("to_id"),
            pl.col("class").alias("from_class"),
            pl.col("class_to").alias("to_class"),
            pl.col("score").alias("from_score"),
            pl.col("score_to").alias("to_score"),
            changed=after != before,
            gained=gained,
            lost=lost,
        )
        .with_columns(score=pl.col("to_score") - pl.col("from_score"))
        .sort("source", "attribute", "from", "to", "unit", "from_id", "to_id")
    )


def by_levels(pairs: pl.DataFrame) -> Iterator[tuple[str, str, str, str, Changes]]:
    """(source, attribute, from, to, changes) of every pair of levels."""
    for (source, attribute, old, new), rows in pairs.group_by(
        "source", "attribute", "from", "to", maintain_order=True
    ):
        yield str(source), str(attribute), str(old), str(new), _changes(rows)


def totals(pairs: pl.DataFrame) -> Iterator[tuple[str, str, Changes]]:
    """(source, attribute, changes) over all pairs of levels. Gains and losses have no direction here."""
    for (source, attribute), rows in pairs.group_by("source", "attribute", maintain_order=True):
        yield str(source), str(attribute), _changes(rows)


def units_touched(pairs: pl.DataFrame) -> Iterator[tuple[str, str, Changes]]:
    """As `totals` of units with a factual side, each once: changed if any of its answered pairs is."""
    once = (
        pairs.filter("factual")
        .group_by(*_KEYS, "cluster", maintain_order=True)
        .agg(
            pl.col("changed").any().alias("changed"),
            pl.lit(None, pl.Boolean).alias("gained"),
            pl.lit(None, pl.Boolean).alias("lost"),
            pl.lit(None, pl.Float64).alias("score"),
            answered=pl.col("changed").count(),
        )
    )
    yield from totals(once.with_columns(changed=pl.when(pl.col("answered") > 0).then("changed")))


def _changes(rows: pl.DataFrame) -> Changes:
    answered = rows.drop_nulls("changed")
    sums = answered.group_by("cluster", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("pairs"),
        *(pl.col(name).fill_null(False).cast(pl.Int64).sum() for name in ("changed", "gained", "lost")),
        pl.col("score").sum(),
    )
    columns = {name: sums[name].to_numpy() for name in _SUMS}
    scored = answered.height > 0 and answered["score"].null_count() == 0
    return Changes(
        pairs_C=columns["pairs"],
        changed_C=columns["changed"],
        gained_C=columns["gained"],
        lost_C=columns["lost"],
        score_C=columns["score"] if scored else None,
        unanswered=rows.height - answered.height,
    )
