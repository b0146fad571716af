"""Raw values of a file as what they mean: numbers, levels of a group column, classes.

An expression for each column, by its type in the file; the distinct raw values of a column of groups or
classes are few, so that what they mean is decided once for each in Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import polars as pl

from raiaudit.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["banded", "is_number", "level_name", "number", "plain", "replaced"]

_CHAINED = 12


def plain(column: str, dtype: pl.DataType, path: Path) -> pl.Expr:
    """As whole numbers, floats (NaN is null) or words. Raises `DataError` for lists and the like."""
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        raise DataError(f"the column {column!r} holds {dtype}, not single values", where=str(path))
    if dtype.is_float():
        return pl.col(column).fill_nan(None)
    if dtype.is_integer() or dtype == pl.String:
        return pl.col(column)
    return pl.col(column).cast(pl.String)


def number(column: str, dtype: pl.DataType, path: Path) -> pl.Expr:
    """The column as Float64; null where it is missing, or no number at all."""
    if dtype == pl.String:
        return pl.col(column).str.strip_chars().cast(pl.Float64, strict=False)
    if not dtype.is_numeric():
        raise DataError(f"the column {column!r} holds {dtype}, not numbers", where=str(path))
    return pl.col(column).cast(pl.Float64)


def level_name(value: object) -> str | None:
    """A level of a group column as text; None where it is missing."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() or None


def replaced(
    column: str,
    dtype: pl.DataType,
    path: Path,
    values: Iterable[object],
    meaning: Callable[[object], object],
    into: type[pl.String | pl.Int64],
) -> pl.Expr:
    """The column with each of its distinct raw `values` (of `plain`) by what it means; None is null.

    Values of another type than the column's, which occur in other files, are passed over.
    """
    raw = plain(column, dtype, path)
    kind: Callable[[Any], object] = float if dtype.is_float() else int if dtype.is_integer() else str
    own = [value for value in values if isinstance(value, str) == (kind is str) and value is not None]
    known = {kind(value): new for value in own if (new := meaning(value)) is not None}
    if into is pl.String and all(known.get(value) == value for value in own):
        return raw
    if len(known) > _CHAINED:
        return raw.replace_strict(list(known), list(known.values()), default=None, return_dtype=into)
    found = pl.lit(None, dtype=into)
    for value, new in known.items():  # three times as fast as a join with a table of two rows
        found = pl.when(raw == value).then(pl.lit(new, dtype=into)).otherwise(found)
    return found


def banded(numbers: pl.Expr, edges: Sequence[float]) -> pl.Expr:
    """Half-open bands, called `< 18`, `[18, 30)`, `≥ 65`; null stays null."""
    text = [f"{edge:g}" for edge in edges]
    names = [f"< {text[0]}", *(f"[{a}, {b})" for a, b in pairwise(text)), f"≥ {text[-1]}"]
    found = pl.lit(names[-1])
    for edge, name in reversed(list(zip(edges, names, strict=False))):
        found = pl.when(numbers < edge).then(pl.lit(name)).otherwise(found)
    return pl.when(numbers.is_finite()).then(found)


def is_number(value: object) -> bool:
    """Whether a level could be a measured number: written as one, and finite."""
    if isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(str(value)))
    except ValueError:
        return False
