"""Files of predictions, opened lazily: Parquet, CSV, TSV, JSON lines; one, or shards of one table.

Of a CSV file every value is read as text, so that nothing is guessed from its first rows. Raises
`DataError` for what is no such file, with what it seems to be instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from raiaudit.errors import DataError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Source", "digest_of", "explained", "find_files", "open_sources"]

_FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_SEPARATORS = {"csv": ",", "tsv": "\t"}
_AGAIN = "_duplicated_0"
"""What polars appends to the second of two columns with one name."""


@dataclass(frozen=True, slots=True)
class Source:
    """Files with one schema, scanned together."""

    paths: tuple[Path, ...]
    format: str
    schema: pl.Schema

    def scan(self, paths: Sequence[Path] | None = None) -> pl.LazyFrame:
        """All rows, or those of some of the files; nothing is read yet."""
        return _scan(paths or self.paths, self.format)

    def find(self, condition: pl.Expr, *columns: str) -> tuple[str, dict[str, object]] | None:
        """Where the first row that meets `condition` is ("a.csv, row 7", from 1), and its `columns`."""
        for path in self.paths:
            rows = self.scan([path]).with_row_index("row", offset=1).filter(condition)
            found = rows.select("row", *columns).head(1).collect()
            if found.height:
                values = found.row(0, named=True)
                return f"{path}, row {values.pop('row')}", values
        return None

    def repeated(self, column: str) -> str | None:
        """The second column of the same name, if the header has one."""
        return column + _AGAIN if self.format in _SEPARATORS and column + _AGAIN in self.schema else None


def find_files(patterns: Sequence[str]) -> list[Path]:
    """Files named, or matched by patterns such as `preds/*.parquet`, in order."""
    found: list[Path] = []
    for pattern in patterns:
        matched = [pattern] if Path(pattern).exists() else sorted(_matches(pattern))
        if not matched:
            raise UsageError("no such file", where=pattern, remedy="check the path; patterns may be quoted")
        found += map(Path, matched)
    for path in found:
        if path.is_dir():
            raise UsageError(
                "this is a folder", where=str(path), remedy=f"name its files: '{path}/*.parquet'"
            )
    resolved = [path.resolve() for path in found]
    if twice := [path for path, real in zip(found, resolved, strict=True) if resolved.count(real) > 1]:
        raise UsageError("this file is named twice: its rows would count twice", where=str(twice[0]))
    return found


def open_sources(paths: Sequence[Path], columns: Sequence[str]) -> list[Source]:
    """The files by schema. Raises `UnknownNameError` for a column that one of them lacks."""
    by_schema: dict[tuple[object, ...], list[Path]] = {}
    schemas: dict[tuple[object, ...], tuple[str, pl.Schema]] = {}
    for path in paths:
        kind = _kind(path)
        with explained(path):
            schema = _scan([path], kind).collect_schema()
        for column in columns:
            if column not in schema:
                known = [name for name in schema.names() if not name.endswith(_AGAIN)]
                raise UnknownNameError("column", column, known, where=str(path))
        key = (kind, tuple(schema.items()))
        by_schema.setdefault(key, []).append(path)
        schemas[key] = (kind, schema)
    return [Source(tuple(files), *schemas[key]) for key, files in by_schema.items()]


def digest_of(paths: Sequence[Path]) -> str:
    """Sha256 (hex) of the file's bytes; of several, of their digests in order."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


@contextmanager
def explained(path: Path | str) -> Iterator[None]:
    """What polars says of a file it cannot read, as a `DataError`."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        said = " ".join(str(error).split())
        if "utf-8" in said.lower() or "utf8" in said.lower():
            remedy = "save it as UTF-8, for example: iconv -f latin1 -t utf8 FILE"
            raise DataError("not UTF-8 text", where=str(path), remedy=remedy) from None
        if isinstance(error, pl.exceptions.NoDataError):
            raise DataError("the file has no rows", where=str(path)) from None
        remedy = "check that the file is whole and every row has as many fields as the header"
        raise DataError(f"cannot be read ({said[:200]})", where=str(path), remedy=remedy) from None


def _matches(pattern: str) -> Iterator[Path]:
    """Files by a pattern, absolute or relative to here."""
    path = Path(pattern)
    yield from Path(path.anchor).glob(str(path.relative_to(path.anchor)))


def _kind(path: Path) -> str:
    """The format by the suffix, and that the first bytes agree with it."""
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        listed = ", ".join(_FORMATS)
        raise UsageError("no format we know", where=str(path), remedy=f"formats by suffix: {listed}")
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=str(path)) from None
    if not head:
        raise DataError("the file is empty", where=str(path))
    is_parquet = head[:4] == b"PAR1"
    if kind == "parquet" and not is_parquet:
        raise DataError("not a Parquet file", where=str(path), remedy="write it again, or give it its suffix")
    if kind != "parquet" and (is_parquet or b"\0" in head):
        seems = "a Parquet file: name it .parquet" if is_parquet else "binary, or UTF-16: save it as UTF-8"
        raise DataError("not a text file", where=str(path), remedy=f"it seems to be {seems}")
    return kind


def _scan(paths: Sequence[Path], kind: str) -> pl.LazyFrame:
    files = list(paths)
    if kind == "parquet":
        return pl.scan_parquet(files)
    if kind == "jsonl":
        return pl.scan_ndjson(files, infer_schema_length=10_000)
    return pl.scan_csv(files, separator=_SEPARATORS[kind], infer_schema=False)
