"""Reading a user's tables and arrays into `Source`s: CSV, TSV, Parquet and npz.

CSV is quoted with `"`; TSV is not quoted (GLUE's convention: a quotation mark in a sentence is only that).
A text column of a CSV or TSV whose cells are all numbers is a number; if nearly all are, the cell that
is not is an error, for otherwise one typing mistake would turn an age into a category.
Raises `DataError` (file, row, column) and, for arrays that are pickles, `ArtifactRefusedError`.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from raiaudit.errors import DataError
from raiaudit.models.data.arrays import npz_keys, read_npz
from raiaudit.models.data.user import SPLITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Source", "read_arrays", "read_table", "require_columns", "require_plain", "require_single_names"]

_MOSTLY = 0.9


@dataclass(frozen=True, slots=True)
class Source:
    """The rows of one file in its order: `frame` has every named column, `images` N×C×H×W if it holds any."""

    where: str
    frame: pl.DataFrame
    images: NDArray[Any] | None = None


def require_columns(found: Collection[str], wanted: Collection[str], where: str) -> None:
    """Raise `DataError`, with the nearest name there is, when a column is not there."""
    for name in wanted:
        if name not in found:
            near = get_close_matches(name, found, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise DataError(
                f"no column {name!r}", where=where, remedy=f"{hint}columns: {', '.join(sorted(found))}"
            )


def require_plain(frame: pl.DataFrame, where: str) -> None:
    """Raise `DataError` where a label, id, split, group, link or text is no text, number or date."""
    for column in frame.iter_columns():
        if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
            raise DataError(
                f"{column.dtype} is no text and no number",
                where=f"{where}, column {column.name!r}",
                remedy="save the column as text",
            )


def require_single_names(columns: Sequence[str], path: Path) -> None:
    """Raise `DataError` where polars had to rename a column of a CSV or TSV, for its name stands twice."""
    twice = [name.removesuffix("_duplicated_0") for name in columns if name.endswith("_duplicated_0")]
    if twice:
        raise DataError(f"two columns are called {twice[0]!r}", where=f"{path}, header")


def read_table(
    path: Path, kind: Literal["csv", "tsv", "parquet"], *, text: Collection[str] | None = ()
) -> Source:
    """All columns of one file; those named in `text` (None: all) are never taken for numbers."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror})", where=str(path)) from error
    try:
        if kind == "parquet":
            return Source(str(path), pl.read_parquet(io.BytesIO(content)))
        _require_utf8(content, path)
        separator, quote = (",", '"') if kind == "csv" else ("\t", None)
        frame = pl.read_csv(
            io.BytesIO(content.removeprefix(b"\xef\xbb\xbf")),
            separator=separator,
            quote_char=quote,
            infer_schema=False,
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        if kind == "csv":
            _require_commas(content, path)
        problem = str(error).split("\n", 1)[0]
        raise DataError(f"not a readable {kind} file ({problem})", where=str(path)) from error
    if kind == "csv" and frame.width == 1:
        _require_commas(content, path)
    require_single_names(frame.columns, path)
    numbers = [] if text is None else [name for name in frame.columns if name not in text]
    return Source(str(path), frame.with_columns(_as_numbers(frame[name], path) for name in numbers))


def _require_utf8(content: bytes, path: Path) -> None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"byte 0x{content[error.start]:02x} is not UTF-8",
            where=f"{path}, line {line}",
            remedy="save the file as UTF-8",
        ) from error


def _require_commas(content: bytes, path: Path) -> None:
    """Raise `DataError` where the header is rather separated by something else."""
    header = content.split(b"\n", 1)[0].decode()
    for separator, remedy in ((";", _WITH_COMMAS), ("|", _WITH_COMMAS), ("\t", "call the file .tsv")):
        if header.count(separator) > header.count(","):
            raise DataError(
                f"its columns are separated by {separator!r}, not by commas", where=str(path), remedy=remedy
            )


_WITH_COMMAS = "save it with commas (and decimal points), as .tsv, or as Parquet"


def _as_numbers(column: pl.Series, path: Path) -> pl.Series:
    cells = column.str.strip_chars()
    cells = cells.set(cells == "", None)
    filled = len(cells) - cells.null_count()
    if filled == 0:
        return cells
    integers = cells.cast(pl.Int64, strict=False)
    if integers.null_count() == cells.null_count():
        return integers
    reals = cells.cast(pl.Float64, strict=False)
    if reals.null_count() == cells.null_count():
        return reals
    odd = (reals.is_null() & cells.is_not_null()).arg_true()
    if len(odd) < (1 - _MOSTLY) * filled:
        raise DataError(
            f"{cells[odd[0]]!r} is not a number, as {filled - len(odd)} of {filled} cells of this column are",
            where=f"{path}, row {odd[0] + 1}, column {column.name!r}",
            remedy="correct the cell, or list the column under `categorical`",
        )
    return cells


def read_arrays(path: Path, *, label: str, groups: Sequence[str]) -> dict[str, Source]:
    """Splits of an npz: `x_<split>`, `y_<split>`, `<group>_<split>` for each group, maybe `id_<split>`.

    Images are N×H×W, N×C×H×W or N×H×W×C with C 1 or 3, uint8 or floats in [0, 1]; rows N×D become
    feature columns x0, x1, …. `x_validation` may be missing.
    """
    found = npz_keys(path)
    names = [split for split in SPLITS if f"x_{split}" in found or split != "validation"]
    sources = {}
    for split in names:
        extra = {"id": f"id_{split}"} if f"id_{split}" in found else {}
        columns = {label: f"y_{split}", **extra, **{group: f"{group}_{split}" for group in groups}}
        arrays = read_npz(path, [f"x_{split}", *columns.values()])
        x = arrays[f"x_{split}"]
        for key, array in arrays.items():
            if key != f"x_{split}" and (array.ndim != 1 or len(array) != len(x)):
                raise DataError(
                    f"shape {array.shape}, but x_{split} has {len(x)} rows", where=f"{path}, array {key}"
                )
        where = f"{path}, array x_{split}"
        frame = pl.DataFrame({name: arrays[key] for name, key in columns.items()})
        if x.ndim == 2 and x.dtype.kind in "uif":
            features = {f"x{column}": x[:, column] for column in range(x.shape[1])}
            sources[split] = Source(where, frame.with_columns(pl.DataFrame(features).iter_columns()))
        else:
            sources[split] = Source(where, frame, _as_images(x, where))
    return sources


def _as_images(x: NDArray[Any], where: str) -> NDArray[Any]:
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    if x.ndim != 4 or x.shape[1] not in (1, 3) or not (x.dtype == np.uint8 or x.dtype.kind == "f"):
        raise DataError(
            f"{x.dtype} of shape {x.shape} is neither images nor rows",
            where=where,
            remedy="images are N×H×W, N×C×H×W or N×H×W×C (C 1 or 3), uint8 or floats in [0, 1]; rows are N×D",
        )
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x)
    outside = np.flatnonzero(~((x >= 0) & (x <= 1)).all(axis=(1, 2, 3)))
    if len(outside):
        raise DataError(
            "a value is NaN or outside [0, 1]",
            where=f"{where}, row {outside[0] + 1}",
            remedy="divide by 255, or save the images as uint8",
        )
    return np.ascontiguousarray(x, dtype=np.float32)
