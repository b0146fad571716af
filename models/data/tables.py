"""Tables: from data frames to encoded rows, through one `TableSchema`.

Numbers keep their raw value in one slot, categories are one-hot. The levels of a category are the
sorted levels of all splits (a schema is public: it says what may be asked, not who answered); the
bounds of numbers are those of the training split alone. A missing category is the level "unknown";
a missing or infinite number is an error, because every way to fill it is a modelling decision.
Shapes: encoded rows N×W float32. Errors: `DataError` naming file, row (from 1, the header not
counted) and column.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.attacks.spaces import Column, TableSchema
from raiaudit.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["UNKNOWN", "as_levels", "check_features", "encode", "fit_schema", "group_frame"]

UNKNOWN = "unknown"
_MAX_LEVELS = 100


def as_levels(column: pl.Series) -> pl.Series:
    """The column as stripped strings, nothing and null being "unknown"."""
    text = column.cast(pl.String).str.strip_chars()
    return text.set(text.is_null() | (text == ""), UNKNOWN)


def group_frame(frame: pl.DataFrame, names: Sequence[str], *, where: str) -> pl.DataFrame:
    """The group columns as strings. Raises `DataError` when one holds nothing or is no set of groups."""
    groups = frame.select(as_levels(frame[name]).alias(name) for name in names)
    for name in names:
        levels = groups[name].n_unique()
        if groups.height and (groups[name] == UNKNOWN).all():
            raise DataError(
                "the group column is empty in every row",
                where=f"{where}, column {name!r}",
                remedy="fill it, or take it out of `groups`",
            )
        if levels > _MAX_LEVELS:
            raise DataError(
                f"{levels} different groups; at most {_MAX_LEVELS} can be compared",
                where=f"{where}, column {name!r}",
                remedy="put the values into ranges first",
            )
    return groups


def check_features(frames: Mapping[str, pl.DataFrame]) -> None:
    """Refuse what cannot be encoded, in whole files in their own order; the keys name the files.

    Raises `DataError` for a missing or infinite number, a column that is text in one file and a number
    in another, a type that is neither, and a text column with too many levels for a category.
    """
    first, reference = next(iter(frames.items()))
    for where, frame in frames.items():
        for column in frame.iter_columns():
            place = f"{where}, column {column.name!r}"
            if column.null_count() == len(column):
                raise DataError(
                    "the column is empty in every row", where=place, remedy="list it under `drop`"
                )
            if column.dtype.is_numeric() != reference[column.name].dtype.is_numeric():
                raise DataError(
                    f"{column.dtype} here but {reference[column.name].dtype} in {first}",
                    where=place,
                    remedy="make it a number in both files, or list it under `categorical`",
                )
            if column.dtype.is_numeric():
                _require_finite(column, where)
            elif column.dtype.is_nested() or column.dtype.is_temporal() or column.dtype == pl.Binary:
                raise DataError(
                    f"{column.dtype} is neither a number nor a category",
                    where=place,
                    remedy="turn it into a number, or list it under `drop`",
                )
            elif (levels := as_levels(column).n_unique()) > _MAX_LEVELS:
                raise DataError(
                    f"{levels} different texts; a category has at most {_MAX_LEVELS}",
                    where=place,
                    remedy="list it under `drop`, or name it as `text`",
                )


def _require_finite(column: pl.Series, where: str) -> None:
    with np.errstate(over="ignore"):  # beyond float32 is infinite in the encoded row
        values = column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise DataError(
            f"a number is missing (empty or NaN) or infinite, here and in {len(bad) - 1} more rows",
            where=f"{where}, row {bad[0] + 1}, column {column.name!r}",
            remedy="fill it in the file, remove those rows, or list the column under `drop`",
        )


def fit_schema(frames: Mapping[str, pl.DataFrame], *, immutable: Collection[str]) -> TableSchema:
    """The schema of the checked feature frames of all splits.

    A column that is constant in the training split cannot move within its bounds and is not mutable.
    """
    return TableSchema(
        tuple(
            _column(name, {split: frame[name] for split, frame in frames.items()}, name not in immutable)
            for name in frames["train"].columns
        )
    )


def _column(name: str, parts: Mapping[str, pl.Series], mutable: bool) -> Column:
    train = parts["train"]
    if train.dtype.is_numeric():
        integer = all(part.dtype.is_integer() for part in parts.values())
        values = train.cast(pl.Float64).to_numpy()
        low, high = float(values.min()), float(values.max())
        return Column(name, "integer" if integer else "real", low, high, mutable=mutable and low < high)
    levels = sorted(set().union(*(as_levels(part).unique().to_list() for part in parts.values())))
    constant = as_levels(train).n_unique() == 1
    return Column(name, "category", categories=tuple(levels), mutable=mutable and not constant)


def encode(frame: pl.DataFrame, schema: TableSchema) -> NDArray[np.float32]:
    """Encoded rows N×W of a frame that `schema` was fitted on."""
    rows_NW = np.zeros((frame.height, schema.width), dtype=np.float32)
    for column in schema.columns:
        place = schema.slices[column.name]
        if column.kind == "category":
            code = {level: index for index, level in enumerate(column.categories)}
            codes = as_levels(frame[column.name]).replace_strict(code, return_dtype=pl.Int64)
            rows_NW[np.arange(frame.height), place.start + codes.to_numpy()] = 1
        else:
            rows_NW[:, place.start] = frame[column.name].to_numpy()
    return rows_NW
