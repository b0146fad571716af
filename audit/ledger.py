"""The example ledger: one row per audited example, columns appended by checks.

On disk `ledger/<check>/<task>.<key>.<checksum>.parquet`. The key is the hash of everything that
decided the rows (see `Task.key`), the checksum that of the file's bytes: both are in the name, so a
finished task is recognised, and a torn or altered file betrays itself, without any other file.
Shards appear by atomic rename. Shards with the same columns stack; others join on `example_id`.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import polars as pl

from raiaudit.audit.files import write_atomically
from raiaudit.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from raiaudit.audit.check import Task

__all__ = ["DamagedShardError", "Ledger", "LedgerReader", "Shard", "parquet_bytes"]

ID = "example_id"
_KEY_LENGTH = 16


class LedgerReader(Protocol):
    """What a summary may do with a ledger."""

    def columns(self) -> frozenset[str]:
        """Every column any shard holds."""
        ...

    def scan(self, *columns: str) -> pl.LazyFrame:
        """`example_id` and the given columns, joined; rows that lack all of them are left out."""
        ...


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of the ledger, as its name describes it."""

    path: Path
    check: str
    task: str
    key: str
    checksum: str

    @classmethod
    def parse(cls, path: Path) -> Shard | None:
        """None for a file that is not named as a shard."""
        parts = path.name.removesuffix(".parquet").rsplit(".", 2)
        if len(parts) != 3 or path.suffix != ".parquet":
            return None
        return cls(path, path.parent.name, *parts)

    def intact(self) -> bool:
        """Whether it is a file of its own whose bytes still have the checksum in the name."""
        regular = self.path.is_file() and not self.path.is_symlink()
        return regular and _checksum(self.path.read_bytes()) == self.checksum

    def remove(self) -> None:
        """Whatever stands there, also a link or a folder."""
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)


class DamagedShardError(StorageError):
    """A shard whose bytes no longer match its name."""

    def __init__(self, shard: Shard) -> None:
        super().__init__(
            f"ledger shard of {shard.check}/{shard.task} is damaged (its bytes do not match its checksum)",
            where=str(shard.path),
            remedy="run the same `raiaudit run SPEC` again: it redoes this task alone",
        )


class Ledger:
    """The shards under `root`; reading verifies every checksum once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._verified: dict[Path, frozenset[str]] = {}

    def shards(self) -> Iterator[Shard]:
        """All shards by name, verified or not, in a stable order."""
        for path in sorted(self.root.glob("*/*.parquet")):
            if (shard := Shard.parse(path)) is not None:
                yield shard

    def damaged(self) -> list[Shard]:
        """Shards whose bytes no longer match their name."""
        return [shard for shard in self.shards() if not shard.intact()]

    def find(self, task: Task, key: str) -> Shard | None:
        """The shard of a task with this key, or None."""
        wanted = (task.check, task.name, key[:_KEY_LENGTH])
        return next((s for s in self.shards() if (s.check, s.task, s.key) == wanted), None)

    def unwanted(self, keys: Mapping[tuple[str, str], str]) -> list[Shard]:
        """Shards that would stack with, but are not among, the rows of the tasks with these keys.

        `keys` maps (check, task name) to the task's key. What a model trained again left behind, say.
        """
        short = {(check, task, key[:_KEY_LENGTH]) for (check, task), key in keys.items()}
        return [shard for shard in self.shards() if (shard.check, shard.task, shard.key) not in short]

    def append(self, task: Task, key: str, frame: pl.DataFrame) -> Shard:
        """Write the rows of a finished task. The frame needs a unique, non-null String `example_id`."""
        if frame.schema.get(ID) != pl.String:
            raise ValueError(f"{task.check}/{task.name} returned no {ID!r} column of strings")
        if frame[ID].null_count() or frame[ID].n_unique() != frame.height:
            raise ValueError(f"{task.check}/{task.name} returned missing or repeated example ids")
        folder = self.root / task.check
        folder.mkdir(parents=True, exist_ok=True)
        content = parquet_bytes(frame)
        name = f"{task.name}.{key[:_KEY_LENGTH]}.{_checksum(content)}.parquet"
        write_atomically(folder / name, content)
        return Shard(folder / name, task.check, task.name, *name.removesuffix(".parquet").rsplit(".", 2)[1:])

    def columns(self) -> frozenset[str]:
        """Every column any shard holds, without `example_id`."""
        return frozenset(column for shard in self.shards() for column in self._columns_of(shard)) - {ID}

    def scan(self, *columns: str) -> pl.LazyFrame:
        """`example_id` and the given columns; a column no shard holds raises `StorageError`."""
        wanted = set(columns)
        stacks: dict[tuple[str, ...], list[Path]] = defaultdict(list)
        for shard in self.shards():
            here = wanted & self._columns_of(shard)
            if here:
                stacks[tuple(sorted(here))].append(shard.path)
        missing = wanted - {column for held in stacks for column in held}
        if missing:
            raise StorageError(
                f"the ledger has no column {', '.join(sorted(missing))}",
                where=str(self.root),
                remedy="the check that writes it has not run",
            )
        joined: pl.LazyFrame | None = None
        for held, paths in sorted(stacks.items()):
            stack = pl.concat([pl.scan_parquet(path).select(ID, *held) for path in paths])
            joined = stack if joined is None else joined.join(stack, on=ID, how="full", coalesce=True)
        assert joined is not None
        return joined.select(ID, *columns).sort(ID)

    def _columns_of(self, shard: Shard) -> frozenset[str]:
        if shard.path not in self._verified:
            if not shard.intact():
                raise DamagedShardError(shard)
            self._verified[shard.path] = frozenset(pl.read_parquet_schema(shard.path))
        return self._verified[shard.path]


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """A frame as a Parquet file: the same bytes for the same rows."""
    from io import BytesIO

    buffer = BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getvalue()


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_KEY_LENGTH]
