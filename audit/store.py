"""Where runs live: `RAIAUDIT_HOME/runs/<id>/`, and how they are found and read.

A run directory: `spec.lock.yaml header.json journal.jsonl ledger/ evidence/ results.json report.pdf
junit.xml results.sarif summary.md manifest.sha256`. Lists read headers only. Readers never write.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from raiaudit.audit.files import write_atomically
from raiaudit.audit.lock import is_held
from raiaudit.audit.results import Results, RunHeader
from raiaudit.audit.sealing import breaches, read_manifest, seal_folder
from raiaudit.errors import StorageError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from raiaudit.audit.ledger import Ledger

__all__ = ["Home", "Run"]

_Model = TypeVar("_Model", bound=BaseModel)
_CLOSED = ("ledger/", "evidence/")


@dataclass(frozen=True, slots=True)
class Home:
    """The state folder. Default: `$RAIAUDIT_HOME`, else `./.raiaudit`."""

    root: Path

    @classmethod
    def at(cls, path: Path | str | None = None) -> Home:
        """The folder named by `path`, by the environment, or the default."""
        chosen = path or os.environ.get("RAIAUDIT_HOME") or ".raiaudit"
        return cls(Path(chosen).expanduser().resolve())

    @property
    def runs_folder(self) -> Path:
        """Where run directories are."""
        return self.root / "runs"

    def runs(self) -> list[Run]:
        """Every run with a readable header, newest first."""
        found = [(run.header.started, run.id, run) for run in self._folders() if run.readable]
        return [run for *_, run in sorted(found, key=lambda entry: entry[:2], reverse=True)]

    def _folders(self) -> list[Run]:
        return [Run(folder) for folder in self.runs_folder.glob("*") if (folder / "header.json").is_file()]

    def run(self, name: str) -> Run:
        """The run called `name`, or a unique prefix of its id, or "latest"."""
        if name == "latest" and (readable := self.runs()):
            return readable[0]
        runs = self._folders()
        if name == "latest" and runs:
            _read(runs[0].folder / "header.json", RunHeader)  # says what is wrong with it
        exact = [run for run in runs if run.id == name]
        found = exact or [run for run in runs if run.id.startswith(name)]
        if len(found) != 1:
            unknown = UnknownNameError("run", name, [run.id for run in runs], where=str(self.runs_folder))
            if not runs:
                unknown.remedy = (
                    "there are none yet: `raiaudit run audit.yaml` makes one; --home and RAIAUDIT_HOME name "
                    "another folder of runs"
                )
            raise unknown
        return found[0]

    def suite(self, name: str) -> list[Run]:
        """All runs that the spec of run `name` started, in the order of the spec."""
        chosen = self.run(name)
        siblings = [run for run in self.runs() if run.header.suite == chosen.header.suite]
        return sorted(siblings, key=lambda run: (run.header.started, run.id))


@dataclass(frozen=True, slots=True)
class Run:
    """One run directory."""

    folder: Path

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def header(self) -> RunHeader:
        """`header.json`; a run that says "running" while no process holds its lock was interrupted."""
        header = _read(self.folder / "header.json", RunHeader)
        if header.status == "running" and not is_held(self.folder):
            return header.model_copy(
                update={"status": "interrupted", "error": "the process ended before the audit did"}
            )
        return header

    @property
    def readable(self) -> bool:
        """Whether `header.json` can be read."""
        try:
            _read(self.folder / "header.json", RunHeader)
        except StorageError:
            return False
        return True

    @property
    def results(self) -> Results:
        """`results.json`; raises `StorageError` while the run is unfinished."""
        return _read(self.folder / "results.json", Results)

    @property
    def finished(self) -> bool:
        """Whether the run reached its end and left results."""
        return self.header.status == "finished" and (self.folder / "results.json").is_file()

    @property
    def ledger(self) -> Ledger:
        """The example ledger."""
        from raiaudit.audit.ledger import Ledger

        return Ledger(self.folder / "ledger")

    @property
    def spec_lock(self) -> str:
        """`spec.lock.yaml` as text: the spec with every default written out."""
        path = self.folder / "spec.lock.yaml"
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            remedy = "run the same spec again: it is written anew"
            raise StorageError(f"cannot be read ({error})", where=str(path), remedy=remedy) from error

    def evidence(self, check: str, name: str) -> pl.DataFrame | None:
        """The table `evidence/<check>/<name>.parquet`, or None if the check left none."""
        import polars as pl

        path = self.folder / "evidence" / check / f"{name}.parquet"
        return pl.read_parquet(path) if path.is_file() else None

    def journal(self) -> Iterator[dict[str, Any]]:
        """Events in order; a line that a crash cut off, or that is no event, is left out."""
        path = self.folder / "journal.jsonl"
        if not path.is_file():
            return
        for line in path.read_bytes().splitlines():
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                yield event

    def write_header(self, header: RunHeader) -> None:
        """Replace `header.json` atomically."""
        write_atomically(self.folder / "header.json", header.model_dump_json(indent=2) + "\n")

    def seal(self) -> None:
        """Write `manifest.sha256` over every file but itself (`sha256sum -c` reads it)."""
        seal_folder(self.folder)

    def sealed_digest(self, name: str) -> str | None:
        """The sha256 (hex) that the manifest has for a file, or None."""
        return read_manifest(self.folder).digests.get(name)

    def broken_seals(self) -> list[str]:
        """Files that are missing or differ from the manifest, and rows that it does not know.

        Other files that were added do not break a run: `sealing.breaches` names them too. Raises
        `StorageError` if there is no manifest.
        """
        found = breaches(self.folder)
        return list(
            dict.fromkeys(
                breach.file
                for breach in found
                if breach.problem != "added" or breach.file.startswith(_CLOSED)
            )
        )


def _read(path: Path, model: type[_Model]) -> _Model:
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise StorageError(
            "no such file: the run has not finished", where=str(path), remedy="`raiaudit run SPEC` resumes it"
        ) from None
    except OSError as error:
        raise StorageError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise StorageError(
            f"is damaged or of another version ({place}: {first['msg']})",
            where=str(path),
            remedy="run the same spec again; finished tasks are kept in the ledger",
        ) from None
