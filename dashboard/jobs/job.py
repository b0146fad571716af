"""One job: what was started, and how far it came, read from its folder by anyone at any time.

`HOME/jobs/<id>/`: `job.json` (what, by which process), `events.jsonl` (its standard output), `log.txt` (its
standard error), `cancelled` (somebody asked it to stop), `exit.json` (written by the server that started it,
if that still ran). Folders that are links are not looked into. Nothing here writes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from raiaudit.dashboard.jobs.process import ProcessId

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.audit.store import Home

__all__ = ["JOB_ID", "Job", "JobKind", "JobRecord", "JobState", "list_jobs"]

JOB_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")
JobKind = Literal["audit", "training"]
JobState = Literal["running", "cancelling", "cancelled", "failed", "finished", "orphaned"]

_TAIL_BYTES = 32_768
_MOST_EVENTS = 16 << 20


class JobRecord(BaseModel):
    """`job.json`: what was started, plain data. `created`: ISO 8601, UTC; `expected`: seconds, from, to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: JobKind
    title: str
    spec: str
    command: tuple[str, ...]
    models: tuple[str, ...]
    created: str
    process: ProcessId | None = None
    expected: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job's folder with its record."""

    folder: Path
    record: JobRecord

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.record.process is not None and self.record.process.alive

    @property
    def at_work(self) -> bool:
        """Whether it has more to do: a process may take seconds to end once it has said its last word."""
        return self.alive and self.conclusion is None

    @property
    def state(self) -> JobState:
        """How far it came. What it said at its end counts more than how its process ended."""
        last = self.conclusion
        if last is not None:
            if last.get("verdict") == "interrupted":
                return "cancelled"
            return "failed" if "error" in last else "finished"
        asked = (self.folder / "cancelled").is_file()
        if self.alive:
            return "cancelling" if asked else "running"
        if asked:
            return "cancelled"
        code = self.exit_code
        return "orphaned" if code is None or code < 0 else "failed"

    @property
    def conclusion(self) -> dict[str, Any] | None:
        """The event `finished`, once it is there."""
        events = self.events
        return events[-1] if events and events[-1].get("event") == "finished" else None

    @property
    def events(self) -> tuple[dict[str, Any], ...]:
        """Everything it told so far, in order."""
        path = self.folder / "events.jsonl"
        try:
            status = path.lstat()
        except OSError:
            return ()
        return _events(path, status.st_mtime_ns, min(status.st_size, _MOST_EVENTS))

    @property
    def exit_code(self) -> int | None:
        """Of its process, if the server that started it saw it end; −9 if signal 9 ended it."""
        try:
            return int(json.loads((self.folder / "exit.json").read_text())["code"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def log(self, lines: int) -> str:
        """The last lines of what it wrote to standard error."""
        try:
            with (self.folder / "log.txt").open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - _TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def list_jobs(home: Home) -> list[Job]:
    """Every job with a readable record, newest first."""
    folder = home.root / "jobs"
    if folder.is_symlink() or not folder.is_dir():
        return []
    names = sorted((path for path in folder.iterdir() if JOB_ID.fullmatch(path.name)), reverse=True)
    return [job for path in names if not path.is_symlink() and (job := _job(path)) is not None]


def _job(folder: Path) -> Job | None:
    try:
        return Job(folder, JobRecord.model_validate_json((folder / "job.json").read_bytes()))
    except (OSError, ValidationError):
        return None


@lru_cache(maxsize=32)
def _events(path: Path, _stamp: int, size: int) -> tuple[dict[str, Any], ...]:
    with path.open("rb") as file:
        lines = file.read(size).splitlines()
    found = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a line that a crash cut off, or that somebody's library printed
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            found.append(event)
    return tuple(found)
