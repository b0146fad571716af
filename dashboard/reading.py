"""What the pages read: run headers, and results and evidence of one run, cached by file and time.

Reading never fails a page: a damaged file becomes a `RunEntry` with a problem, or a `StorageError`
that the page shows for that run alone. Nothing here writes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raiaudit.audit.lock import is_held
from raiaudit.audit.results import Results, RunHeader, SubjectCard
from raiaudit.audit.store import Home, Run
from raiaudit.errors import StorageError
from raiaudit.reports.words.headline import headlines

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from raiaudit.audit.measurement import Measurement

__all__ = [
    "RunEntry",
    "Told",
    "evidence_of",
    "evidence_table",
    "journal_tail",
    "list_runs",
    "results_of",
    "told_of",
]


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A run directory as a list shows it; exactly one of `header` and `problem` is set."""

    run: Run
    header: RunHeader | None
    problem: str | None = None

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id

    @property
    def state(self) -> str:
        """The one word a list shows: the verdict once there is one, else how far the run came."""
        if self.header is None:
            return "damaged"
        if self.header.status == "finished":
            return self.header.verdict or "inconclusive"
        return self.header.status


def list_runs(home: Home) -> list[RunEntry]:
    """Every run directory, newest first, damaged ones last. Reads headers only."""
    if not home.runs_folder.is_dir():
        return []
    entries = [_entry(folder) for folder in home.runs_folder.iterdir() if (folder / "header.json").is_file()]
    return sorted(entries, key=lambda e: (e.header.started if e.header else "", e.id), reverse=True)


def results_of(run: Run) -> Results:
    """`results.json`; raises `StorageError` if it is missing or damaged."""
    return _results(run.folder, _stamp(run.folder / "results.json"))


@dataclass(frozen=True, slots=True)
class Told:
    """The little of a run's results that lists over many runs need: kept when the rest is forgotten.

    `headlines`: an entry a column of `reports.headline.COLUMNS`.
    """

    subject: SubjectCard
    data_digest: str
    headlines: tuple[Measurement | None, ...]


def told_of(run: Run) -> Told | None:
    """The few facts for lists, or None while there are no readable results."""
    return _told(run.folder, _stamp(run.folder / "results.json"))


def evidence_of(run: Run, check: str) -> Mapping[tuple[str, str], pl.DataFrame]:
    """The tables behind one check's figures. Raises `StorageError` if one cannot be read."""
    folder = run.folder / "evidence" / check
    return _evidence(run.folder, check, tuple(sorted((p.name, _stamp(p)) for p in folder.glob("*.parquet"))))


def evidence_table(run: Run, check: str, name: str) -> pl.DataFrame | None:
    """One table of evidence, None where the run has none. Raises `StorageError` if it cannot be read."""
    path = run.folder / "evidence" / check / f"{name}.parquet"
    return _table(run.folder, check, name, _stamp(path)) if path.is_file() else None


def journal_tail(run: Run, lines: int) -> list[dict[str, Any]]:
    """The last events of the journal, oldest first."""
    return list(deque((event for event in run.journal() if isinstance(event, dict)), maxlen=lines))


_Stamp = tuple[int, int]


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def _entry(folder: Path) -> RunEntry:
    run = Run(folder)
    try:
        return RunEntry(run, _header(folder, _stamp(folder / "header.json"), is_held(folder)))
    except StorageError as error:
        return RunEntry(run, None, str(error))


@lru_cache(maxsize=4096)
def _header(folder: Path, _stamp: _Stamp, _held: bool) -> RunHeader:
    # `Run.header` says "interrupted" of a run whose process is gone, though the file stays as it was.
    return Run(folder).header


@lru_cache(maxsize=64)
def _results(folder: Path, _stamp: _Stamp) -> Results:
    return Run(folder).results


@lru_cache(maxsize=4096)
def _told(folder: Path, stamp: _Stamp) -> Told | None:
    try:
        results = _results(folder, stamp)
    except StorageError:
        return None
    found = tuple(headline.measurement if headline else None for headline in headlines(results))
    return Told(results.subject, results.data.digest, found)


@lru_cache(maxsize=32)
def _table(folder: Path, check: str, name: str, _stamp: _Stamp) -> pl.DataFrame | None:
    import polars as pl

    try:
        return Run(folder).evidence(check, name)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(folder, check, error) from None


@lru_cache(maxsize=16)
def _evidence(
    folder: Path, check: str, _stamps: tuple[tuple[str, _Stamp], ...]
) -> Mapping[tuple[str, str], pl.DataFrame]:
    import polars as pl

    from raiaudit.reports.figures import read_evidence

    try:
        return read_evidence(Run(folder), [check])
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(folder, check, error) from None


def _unreadable(folder: Path, check: str, error: Exception) -> StorageError:
    return StorageError(
        f"cannot be read ({error})",
        where=str(folder / "evidence" / check),
        remedy="run the same spec again: tables are made anew from the ledger",
    )
