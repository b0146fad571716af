"""Files of predictions as the rows a tally counts: group columns, label, predicted, score, weight, cluster.

Nothing is held in memory: two streaming passes, one that looks at every column and one that counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from raiaudit.audit.fairness.predictions.files import open_sources
from raiaudit.audit.fairness.predictions.survey import survey
from raiaudit.audit.fairness.predictions.values import banded, level_name, number, replaced
from raiaudit.audit.fairness.predictions.vocabulary import class_name, vocabulary

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.audit.fairness.predictions.files import Source
    from raiaudit.audit.fairness.predictions.options import PredictionOptions
    from raiaudit.audit.fairness.predictions.survey import Survey
    from raiaudit.audit.fairness.predictions.vocabulary import Vocabulary

__all__ = ["PredictionRows", "read_predictions"]


@dataclass(frozen=True, slots=True)
class PredictionRows:
    """`frame` has the group columns (String), label and predicted (class indices; label null throughout
    without labels), and score in [0, 1], weight and cluster (the person) where they were named.

    `total` rows are in the files; `missing`: option → rows that lack a value there and were left out.
    """

    frame: pl.LazyFrame
    classes: tuple[str, ...]
    positive: int | None
    total: int
    missing: dict[str, int]


def read_predictions(paths: Sequence[Path], options: PredictionOptions) -> PredictionRows:
    """Open the files, look at every column that was named. Raises `UsageError` kinds."""
    columns = [*options.groups, *options.columns.values()]
    sources = open_sources(paths, columns)
    found = survey(sources, options)
    words = vocabulary(
        None if options.label is None else _names(found.labels),
        None if options.pred is None else _names(found.predictions),
        options.positive,
        where=str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more",
    )
    frame = pl.concat([_frame(source, options, found, words) for source in sources])
    missing = {option: n for option, n in found.missing.items() if n}
    if missing:
        needed = ["predicted", *(["label"] if options.label else []), *(["score"] if options.score else [])]
        frame = frame.drop_nulls(needed)
    return PredictionRows(frame, words.classes, words.positive, found.rows, missing)


def _frame(source: Source, options: PredictionOptions, found: Survey, words: Vocabulary) -> pl.LazyFrame:
    path, schema = source.paths[0], source.schema
    columns: dict[str, pl.Expr] = {}
    for name in options.groups:
        if name in options.bands:
            columns[name] = banded(number(name, schema[name], path), options.bands[name])
        else:
            columns[name] = replaced(name, schema[name], path, found.levels[name], level_name, pl.String)

    def index(value: object) -> int | None:
        name = class_name(value)
        return None if name is None else words.index_of(name)

    columns["label"] = pl.lit(None, dtype=pl.Int64)
    if options.label is not None:
        columns["label"] = replaced(options.label, schema[options.label], path, found.labels, index, pl.Int64)
    if options.score is not None:
        values = number(options.score, schema[options.score], path).fill_nan(None)
        low, high = options.score_range
        columns["score"] = (values - low) / (high - low)
        if options.pred is None:
            assert words.positive is not None
            selected = pl.when(values >= options.cut).then(words.positive).otherwise(1 - words.positive)
            columns["predicted"] = pl.when(values.is_not_null()).then(selected).cast(pl.Int64)
    if options.pred is not None:
        columns["predicted"] = replaced(
            options.pred, schema[options.pred], path, found.predictions, index, pl.Int64
        )
    if options.weight is not None:
        columns["weight"] = number(options.weight, schema[options.weight], path)
    if options.person is not None:
        columns["cluster"] = pl.col(options.person).cast(pl.String)
    return source.scan().select(**columns)


def _names(values: Iterable[object]) -> set[str]:
    return {name for value in values if (name := class_name(value)) is not None}
