"""What a table looks like, column by column: read whole when it is small, else its first rows alone.

Cells of CSV and TSV are texts here, whatever they look like, so that a column can be judged before the
loader of the audit takes it for numbers. Raises `DataError` for what the loader would refuse, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

from raiaudit.errors import DataError
from raiaudit.models.data.user_files import read_table, require_single_names

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ColumnFacts", "TableHead", "read_head"]

WHOLE = 64 * 2**20
"""Bytes up to which a table is read whole."""
HEAD_ROWS = 20_000

_DATE = r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ]\d|$)|^\d{1,2}[-/.]\d{1,2}[-/.]\d{4}([T ]\d|$)"
_FEWEST_COUNTED = 20  # steps of one, from which whole numbers are a counter

_MOST_LEVELS = 1_000  # of a class; more are counted, not listed
_LINES = 2**20  # bytes of a head that must be UTF-8, and that tell how long a line is


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """One column of the rows that were read. Numbers are counted among the cells that are filled.

    `levels` are the distinct cells, commonest first (at most 1,000 of them), each with its count;
    `numeric` is the share of cells that are numbers, `whole` whether those are whole, `words` the mean number
    of words; `encodable` is false for dates, lists and bytes; `counts` says whether the cells are whole
    numbers that follow one another, as a counter of rows does, `dates` whether they are written like dates.
    """

    name: str
    rows: int
    empty: int
    distinct: int
    levels: tuple[tuple[str, int], ...]
    numeric: float
    whole: bool
    words: float
    encodable: bool = True
    counts: bool = False
    dates: bool = False

    @property
    def filled(self) -> int:
        """Rows with a value."""
        return self.rows - self.empty

    @property
    def is_key(self) -> bool:
        """Whether every row has a value of its own."""
        return self.empty == 0 and self.distinct == self.rows


@dataclass(frozen=True, slots=True)
class TableHead:
    """The columns in the order of the file. `rows` is exact when `whole`, else about how many there are."""

    path: Path
    columns: tuple[ColumnFacts, ...]
    rows: int
    whole: bool

    def __getitem__(self, name: str) -> ColumnFacts:
        return next(column for column in self.columns if column.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(column.name for column in self.columns)


def read_head(path: Path, kind: Literal["csv", "tsv", "parquet"]) -> TableHead:
    """The facts about every column of a table."""
    if not path.stat().st_size:
        raise DataError("the file is empty", where=str(path))
    if path.stat().st_size <= WHOLE:
        frame = read_table(path, kind, text=None).frame
        rows, whole = frame.height, True
    else:
        frame, rows = _first_rows(path, kind)
        whole = False
    if not frame.height:
        raise DataError("there is not one row", where=str(path))
    return TableHead(path, tuple(_facts(column) for column in frame.iter_columns()), rows, whole)


def _first_rows(path: Path, kind: Literal["csv", "tsv", "parquet"]) -> tuple[pl.DataFrame, int]:
    try:
        if kind == "parquet":
            lazy = pl.scan_parquet(path)
            return lazy.head(HEAD_ROWS).collect(), int(lazy.select(pl.len()).collect().item())
        with path.open("rb") as file:
            start = file.read(_LINES)
        lines = start.decode("utf-8", errors="replace")
        if "\ufffd" in lines[:-4]:  # the last character may be cut
            raise DataError("not UTF-8 text", where=str(path), remedy="save the file as UTF-8")
        separator, quote = (",", '"') if kind == "csv" else ("\t", None)
        lazy = pl.scan_csv(path, separator=separator, quote_char=quote, infer_schema=False)
        frame = lazy.head(HEAD_ROWS).collect()
        require_single_names(frame.columns, path)
        per_row = len(start) / max(1, start.count(b"\n"))
        return frame, int(path.stat().st_size / per_row)
    except (pl.exceptions.PolarsError, OSError) as error:
        problem = str(error).split("\n", 1)[0]
        raise DataError(f"not a readable {kind} file ({problem})", where=str(path)) from error


def _facts(column: pl.Series) -> ColumnFacts:
    encodable = not (column.dtype.is_nested() or column.dtype.is_temporal() or column.dtype == pl.Binary)
    if not encodable:
        return ColumnFacts(column.name, len(column), column.null_count(), 0, (), 0.0, False, 0.0, False)
    if column.dtype.is_float():
        column = column.fill_nan(None)
    cells = column.cast(pl.String).str.strip_chars()
    cells = cells.set(cells == "", None)
    empty = cells.null_count()
    filled = cells.drop_nulls()
    numbers = filled.cast(pl.Float64, strict=False)
    numbers = numbers.filter(numbers.is_finite().fill_null(False))
    counted = filled.value_counts(sort=True)
    levels = counted.sort([counted.columns[1], counted.columns[0]], descending=[True, False])
    whole = bool((numbers == numbers.round()).all()) if len(numbers) else False
    steps = numbers.diff().drop_nulls()
    return ColumnFacts(
        name=column.name,
        rows=len(column),
        empty=empty,
        distinct=counted.height,
        levels=tuple(levels.head(_MOST_LEVELS).iter_rows()),
        numeric=len(numbers) / len(filled) if len(filled) else 0.0,
        whole=whole,
        words=float(filled.str.split(" ").list.len().mean() or 0) if len(filled) else 0.0,  # type: ignore[arg-type]  # a mean of counts is a number
        counts=whole and len(steps) >= _FEWEST_COUNTED and bool((steps == 1).all()),
        dates=bool(filled.str.contains(_DATE).all()) if len(filled) else False,
    )
