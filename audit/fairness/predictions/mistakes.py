"""What can be wrong with the columns of a file of predictions, and in which row it is first wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from raiaudit.audit.fairness.predictions.values import number, plain
from raiaudit.audit.fairness.predictions.vocabulary import class_name
from raiaudit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raiaudit.audit.fairness.predictions.files import Source
    from raiaudit.audit.fairness.predictions.options import PredictionOptions

__all__ = ["facts_of", "refuse_missing", "refuse_numbers", "refuse_repeats"]


def facts_of(source: Source, options: PredictionOptions) -> Iterator[pl.Expr]:
    """Facts about every column, each a single number."""
    yield pl.len().alias("rows")
    if options.weight is not None:
        yield number(options.weight, source.schema[options.weight], source.paths[0]).sum().alias("weight")
    for option, column in options.columns.items():
        again = source.repeated(column)
        if again is not None:
            yield pl.col(column).ne_missing(pl.col(again)).sum().alias(f"{option} differs")
    for wrong in _wrongs(source, options):
        yield wrong.condition.sum().alias(wrong.name)


class _Wrong(NamedTuple):
    """Rows that meet `condition` are no good; `said` explains one, from the value in `column`."""

    name: str
    column: str
    condition: pl.Expr
    said: Callable[[object], DataError] | None


def _wrongs(source: Source, options: PredictionOptions) -> Iterator[_Wrong]:
    """What can be wrong with numbers. A missing score is counted; all else is refused."""
    path = source.paths[0]
    low, high = options.score_range
    for option, column in options.columns.items():
        dtype = source.schema[column]
        if option == "--id":
            yield _Wrong("--id null", column, pl.col(column).is_null(), _missing(option, column))
        if option == "--person":
            blank = _blank(plain(column, dtype, path), dtype)
            yield _Wrong("--person null", column, blank, _missing(option, column))
        if option not in ("--score", "--weight"):
            continue
        values = number(column, dtype, path)
        raw = _blank(pl.col(column), dtype)
        numbers = values.is_not_nan() & values.is_not_null()
        yield _Wrong(f"{option} text", column, values.is_null() & ~raw, _no_number(option, column))
        gone = raw | values.is_nan().fill_null(False)
        if option == "--score":
            outside = numbers & ((values < low) | (values > high))
            yield _Wrong("--score range", column, outside, _out_of_range(column, low, high))
            yield _Wrong("--score null", column, gone, None)
        else:
            bad = numbers & ((values < 0) | values.is_infinite())
            yield _Wrong("--weight null", column, gone, _missing(option, column))
            yield _Wrong("--weight range", column, bad, _bad_weight(column))


def _blank(values: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    return values.is_null() | (values.str.strip_chars() == "") if dtype == pl.String else values.is_null()


def _missing(option: str, column: str) -> Callable[[object], DataError]:
    return lambda _: DataError(f"the column {column!r} of {option} has no value here")


def _no_number(option: str, column: str) -> Callable[[object], DataError]:
    return lambda value: DataError(f"{_shown(value)} in the column {column!r} of {option} is no number")


def _out_of_range(column: str, low: float, high: float) -> Callable[[object], DataError]:
    remedy = "if the scores have a range of their own, name it: --score-range LOW,HIGH (and --threshold)"
    return lambda value: DataError(
        f"the score {_shown(value)} in {column!r} lies outside [{low:g}, {high:g}]", remedy=remedy
    )


def _bad_weight(column: str) -> Callable[[object], DataError]:
    return lambda value: DataError(f"the weight {_shown(value)} in {column!r} is negative or infinite")


def refuse_numbers(source: Source, options: PredictionOptions, facts: Mapping[str, int]) -> None:
    """Raise `DataError` for the first thing that the `facts` count."""
    for option, column in options.columns.items():
        if facts.get(f"{option} differs"):
            raise DataError(
                f"the header has the column {column!r} twice, and {facts[f'{option} differs']:,} rows differ",
                where=str(source.paths[0]),
                remedy="rename one of them",
            )
    for wrong in _wrongs(source, options):
        if facts[wrong.name] and wrong.said is not None:
            place, values = _first(source, wrong.condition, wrong.column)
            error = wrong.said(values[wrong.column])
            raise DataError(error.problem + _more(facts[wrong.name]), where=place, remedy=error.remedy)


def refuse_missing(
    source: Source, option: str, column: str, lacking: int, options: PredictionOptions
) -> None:
    """Raise `DataError` for the first row without a label, a prediction or a score."""
    if option == "--score":
        (wrong,) = (w for w in _wrongs(source, options) if w.name == "--score null")
        condition = wrong.condition
    else:
        values = plain(column, source.schema[column], source.paths[0])
        condition = values.is_null()
        if source.schema[column] == pl.String:
            names = source.scan().select(values.unique()).collect()[column].to_list()
            condition |= values.is_in(
                [name for name in names if name is not None and class_name(name) is None]
            )
    place, _ = _first(source, condition)
    raise DataError(
        f"the column {column!r} of {option} has no value here{_more(lacking)}",
        where=place,
        remedy="complete them, or leave these rows out of the audit: --drop-missing",
    )


def refuse_repeats(sources: Sequence[Source], column: str) -> None:
    """An id that stands in two rows. Eight bytes a row: hashes sorted, then what collides is compared."""
    ids = [source.scan().select(pl.col(column).cast(pl.String)) for source in sources]
    hashes = [part.select(pl.col(column).hash()).collect(engine="streaming").to_series() for part in ids]
    ordered = np.sort(np.concatenate([part.to_numpy() for part in hashes]))
    twice = pl.Series(np.unique(ordered[1:][ordered[1:] == ordered[:-1]]), dtype=pl.UInt64)
    suspects = pl.concat(ids).filter(pl.col(column).hash().is_in(twice.implode()))
    counted = suspects.group_by(column, maintain_order=True).len().filter(pl.col("len") > 1)
    if twice.is_empty() or (repeated := counted.collect()).is_empty():
        return
    value = repeated[column][0]
    same = pl.col(column).cast(pl.String) == value
    place = next(place for source in sources if (place := source.find(same)) is not None)
    raise DataError(
        f"the id {_shown(value)} stands in {repeated['len'][0]:,} rows ({repeated.height:,} such ids)",
        where=place[0],
        remedy="one row a case; or, where several rows are of one person, say --person instead of --id",
    )


def _first(source: Source, condition: pl.Expr, *columns: str) -> tuple[str, dict[str, object]]:
    found = source.find(condition, *columns)
    assert found is not None  # such rows were counted
    return found


def _more(rows: int) -> str:
    return f" ({rows:,} such rows)" if rows > 1 else ""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
