"""A run's ledger as a page reads it: which columns it holds, lazy scans of a few of them, all of one example.

Of each shard that is read the checksum is compared once per process and file; a damaged one is named and left
out, and the others are shown. Nothing is loaded whole: a scan reads the columns asked for.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from raiaudit.audit.ledger import Shard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from raiaudit.audit.store import Run

__all__ = ["ID", "ExampleRows", "Value", "open_rows"]

ID = "example_id"
_LABELS = ("accuracy.label", "fairness.label")
_PREDICTED = ("accuracy.predicted", "fairness.predicted", "attribution.predicted", "influence.predicted")
# Whose rows are the audited examples: the first of these checks that ran. Rows of other checks may be of
# training examples, of shadows' pools or of made inputs.
_AUDITED = (
    "performance.accuracy",
    "fairness.groups",
    "fairness.subgroups",
    "fairness.profiles",
    "reliability.calibration",
    "robustness.evasion",
    "robustness.corruption",
    "explanations.attribution",
    "explanations.faithfulness",
    "explanations.stability",
)


@dataclass(frozen=True, slots=True)
class Value:
    """What one column says of an example, and the check that wrote it."""

    check: str
    column: str
    value: object


@dataclass(frozen=True, slots=True, eq=False)  # the same object while the files are the same
class ExampleRows:
    """`shards`: the columns (name and type, without the id) of every sound shard; `damaged`: the others."""

    shards: Mapping[Shard, Mapping[str, pl.DataType]]
    damaged: tuple[str, ...]

    @property
    def columns(self) -> dict[str, pl.DataType]:
        """Every column and its type."""
        return {name: dtype for held in self.shards.values() for name, dtype in held.items()}

    @property
    def label(self) -> str | None:
        """The column with the index of the labelled class."""
        return self._first(_LABELS)

    @property
    def predicted(self) -> str | None:
        """The column with the index of the predicted class."""
        return self._first(_PREDICTED)

    def audited(self) -> pl.LazyFrame | None:
        """The ids of the audited examples; None where the run has none."""
        checks = {shard.check for shard in self.shards}
        check = next((check for check in _AUDITED if check in checks), None)
        if check is None:
            return None
        paths = [shard.path for shard in self.shards if shard.check == check]
        return _stack(paths, ()).unique(maintain_order=False)

    def scan(self, columns: Iterable[str]) -> list[pl.LazyFrame]:
        """Frames with the id and some of the columns each, to be joined; unknown columns are left out."""
        wanted = set(columns)
        stacks: dict[tuple[str, ...], list[Path]] = defaultdict(list)
        for shard, held in self.shards.items():
            if here := wanted & held.keys():
                stacks[tuple(sorted(here))].append(shard.path)
        return [_stack(paths, held) for held, paths in sorted(stacks.items())]

    def of(self, example: str) -> tuple[Value, ...]:
        """All that is known of one example, in the order of checks and columns; nulls are left out."""
        return _values(self, example)

    def _first(self, names: Iterable[str]) -> str | None:
        columns = self.columns
        return next((name for name in names if name in columns), None)


def open_rows(run: Run) -> ExampleRows:
    """The ledger of a run, finished or not."""
    files = sorted((run.folder / "ledger").glob("*/*.parquet"))
    return _opened(tuple((path, *_stamp(path)) for path in files))


@lru_cache(maxsize=16)
def _values(rows: ExampleRows, example: str) -> tuple[Value, ...]:
    stacks: dict[tuple[str, tuple[str, ...]], list[Path]] = defaultdict(list)
    for shard, held in rows.shards.items():
        stacks[shard.check, tuple(held)].append(shard.path)
    lazy = [_stack(paths, held).filter(pl.col(ID) == example) for (_, held), paths in stacks.items()]
    return tuple(
        Value(check, column, value)
        for (check, _), found in zip(stacks, pl.collect_all(lazy), strict=True)
        for row in found.head(1).iter_rows(named=True)
        for column, value in row.items()
        if column != ID and value is not None
    )


_File = tuple[Path, int, int]


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=4)
def _opened(files: tuple[_File, ...]) -> ExampleRows:
    shards: dict[Shard, Mapping[str, pl.DataType]] = {}
    damaged = []
    for file in files:
        shard = Shard.parse(file[0])
        if shard is None:
            continue
        schema = _schema(shard, file)
        if schema is None:
            damaged.append(f"{shard.check}/{shard.task}")
        else:
            shards[shard] = schema
    return ExampleRows(shards, tuple(damaged))


@lru_cache(maxsize=65_536)
def _schema(shard: Shard, file: _File) -> Mapping[str, pl.DataType] | None:
    """The columns of a shard without its id; None where its bytes are not what its name says."""
    try:
        if not shard.intact():
            return None
        schema = pl.read_parquet_schema(shard.path)
    except (OSError, pl.exceptions.PolarsError):
        return None
    return {name: dtype for name, dtype in schema.items() if name != ID}


def _stack(paths: list[Path], columns: Iterable[str]) -> pl.LazyFrame:
    return pl.scan_parquet(paths, missing_columns="insert", extra_columns="ignore").select(ID, *columns)
