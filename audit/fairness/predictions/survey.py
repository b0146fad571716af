"""One streaming pass over the files: which values there are, how many are missing, which numbers are wrong.

What would make a number of the audit silently wrong is an error here, naming the first row it stands in.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from raiaudit.audit.fairness.predictions.files import explained
from raiaudit.audit.fairness.predictions.mistakes import (
    facts_of,
    refuse_missing,
    refuse_numbers,
    refuse_repeats,
)
from raiaudit.audit.fairness.predictions.values import is_number, level_name, plain
from raiaudit.audit.fairness.predictions.vocabulary import MOST_CLASSES, class_name, is_fraction
from raiaudit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from raiaudit.audit.fairness.predictions.files import Source
    from raiaudit.audit.fairness.predictions.options import PredictionOptions

__all__ = ["MOST_GROUPS", "Survey", "survey"]

MOST_GROUPS = 20_000
_MOST_NUMBERS = 40
_SAMPLE = 100_000
_CLASSES = ("--label", "--pred")


@dataclass
class Survey:
    """Over all sources. `levels`: attribute → raw value → rows; `labels` and `predictions`: raw value → rows.

    `missing`: option → rows without a value there, which `--drop-missing` may leave out.
    """

    rows: int = 0
    weight: float = 0.0
    levels: dict[str, Counter[object]] = field(default_factory=dict)
    labels: Counter[object] = field(default_factory=Counter)
    predictions: Counter[object] = field(default_factory=Counter)
    missing: dict[str, int] = field(default_factory=dict)


def survey(sources: Sequence[Source], options: PredictionOptions) -> Survey:
    """What the files hold. Raises `DataError` for what cannot be counted as it is."""
    found = Survey(levels={name: Counter() for name in options.groups})
    for source in sources:
        with explained(source.paths[0]):
            _early(source, options)
            _add(found, source, options)
    if options.id is not None:
        with explained(sources[0].paths[0]):
            refuse_repeats(sources, options.id)
    if found.rows == 0:
        raise DataError("the file has no rows", where=str(sources[0].paths[0]))
    if options.weight is not None and found.weight == 0:
        raise DataError("every weight is 0", where=str(sources[0].paths[0]))
    for attribute, levels in found.levels.items():
        _refuse_levels(attribute, levels, str(sources[0].paths[0]))
    return found


def _early(source: Source, options: PredictionOptions) -> None:
    """Scores or ids given as classes or groups are told from the first rows, before a pass over all."""
    classes = {
        option: column for option, column in options.columns.items() if option in ("--label", "--pred")
    }
    groups = [name for name in options.groups if name not in options.bands]
    head = source.scan().select(*{*classes.values(), *groups}).head(_SAMPLE).collect()
    for option, column in classes.items():
        _refuse_classes(option, column, head[column].unique().to_list(), str(source.paths[0]))
    for name in groups:
        _refuse_levels(name, head[name].unique().to_list(), str(source.paths[0]))


def _add(found: Survey, source: Source, options: PredictionOptions) -> None:
    path, lazy = source.paths[0], source.scan()
    queries: list[pl.LazyFrame] = [lazy.select(*facts_of(source, options))]
    counted = [*(c for c in (options.label, options.pred) if c is not None)]
    counted += [name for name in options.groups if name not in options.bands]
    for column in counted:
        values = plain(column, source.schema[column], path).alias("value")
        queries.append(lazy.select(values).group_by("value").agg(n=pl.len()))
    totals, *tables = pl.collect_all(queries, engine="streaming")
    facts = totals.row(0, named=True)
    refuse_numbers(source, options, facts)
    found.rows += facts["rows"]
    found.weight += facts.get("weight", 0.0)
    counters = (Counter(dict(table.iter_rows())) for table in tables)
    by_column = dict(zip(counted, counters, strict=True))
    for attribute in options.groups:
        found.levels[attribute] += by_column.get(attribute, Counter())
    for option, named, held in (
        ("--label", options.label, found.labels),
        ("--pred", options.pred, found.predictions),
    ):
        if named is None:
            continue
        _refuse_classes(option, named, list(by_column[named]), str(path))
        held.update(by_column[named])
        blank = sum(n for value, n in by_column[named].items() if class_name(value) is None)
        found.missing[option] = found.missing.get(option, 0) + blank
    if options.score is not None:
        found.missing["--score"] = found.missing.get("--score", 0) + facts["--score null"]
    for option, lacking in found.missing.items():
        if lacking and not options.drop_missing:
            refuse_missing(source, option, options.columns[option], lacking, options)


def _refuse_classes(option: str, column: str, values: Sequence[object], where: str) -> None:
    names = {name for value in values if (name := class_name(value)) is not None}
    if fraction := next((name for name in sorted(names) if is_fraction(name)), None):
        raise DataError(
            f"{fraction} in the column {column!r} of {option} is no class",
            where=where,
            remedy=f"for scores: --score {column} --threshold 0.5" if option == "--pred" else None,
        )
    if len(names) > MOST_CLASSES:
        raise DataError(
            f"the column {column!r} of {option} has more than {MOST_CLASSES} different values",
            where=where,
            remedy="check that it holds classes, not ids, texts or scores",
        )


def _refuse_levels(attribute: str, levels: Iterable[object], where: str) -> None:
    names = {name for value in levels if (name := level_name(value)) is not None}
    if len(names) > _MOST_NUMBERS and all(is_number(name) for name in names):
        raise DataError(
            f"the group column {attribute!r} has {len(names):,} different numbers: no groups of people",
            where=where,
            remedy=f"make groups of them, for example --bands {attribute}:18,30,45,65",
        )
    if len(names) > MOST_GROUPS:
        raise DataError(
            f"the group column {attribute!r} has {len(names):,} groups, more than {MOST_GROUPS:,}",
            where=where,
            remedy="merge them into groups large enough to be compared (regions instead of postcodes)",
        )
