"""A study: a table of variants kept as a file in the state folder, equal studies under one id.

It is `run_suite` underneath: every model is registered and every audit a run like any other, so that a study
resumes where it was stopped and costs nothing when all is there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from raiaudit.audit.files import write_atomically
from raiaudit.audit.journal import now
from raiaudit.audit.studies.cells import CONFIDENCE, Cell
from raiaudit.errors import StorageError

if TYPE_CHECKING:
    from raiaudit.audit.spec import LoadedSpec
    from raiaudit.audit.store import Home, Run

__all__ = ["Shelf", "Study", "StudyRow", "Variants", "facts"]


@dataclass(frozen=True, slots=True)
class Variants:
    """`loaded` audits one model a variant; `titles` says which is which, the standard one first; `notes`
    tells what was derived and adapted.
    """

    loaded: LoadedSpec
    titles: dict[str, str]
    notes: tuple[str, ...]


class StudyRow(BaseModel):
    """One variant: the model, its run, and its cells by metric, in the order of the table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: str
    model: str
    run: str
    cells: dict[str, Cell]


class Study(BaseModel):
    """What a study's file holds; the first row is the standard model. Intervals are at `confidence`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    id: str
    name: str
    data: str
    seed: int
    partial: bool
    confidence: float = CONFIDENCE
    made: str
    machine: str
    versions: dict[str, str]
    spec_path: str
    notes: tuple[str, ...]
    rows: tuple[StudyRow, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that at least one variant has a value of, in the order of the table."""
        return tuple(
            m for m in self.rows[0].cells if any(row.cells[m].value is not None for row in self.rows)
        )


def facts(variants: Variants, runs: list[Run]) -> dict[str, Any]:
    """The fields of a study besides its rows; `runs` are those of the variants, in order."""
    loaded, first, header = variants.loaded, runs[0].results, runs[0].header
    identity = "|".join([*variants.titles, *(run.id for run in runs)])
    digest = hashlib.sha256(identity.encode()).hexdigest()
    return {
        "id": f"{loaded.name}-{digest[:10]}".lower(),
        "name": loaded.name,
        "data": first.data.name,
        "seed": first.seed,
        "partial": first.partial,
        "made": now(),
        "machine": header.machine,
        "versions": header.versions,
        "spec_path": str(loaded.source.path),
        "notes": variants.notes,
    }


_Kind = TypeVar("_Kind", bound=Study)


@dataclass(frozen=True)
class Shelf(Generic[_Kind]):
    """Where studies of one kind are kept: `folder`/<id>/`file`, which `command` writes."""

    kind: type[_Kind]
    folder: str
    file: str
    command: str

    def keep(self, home: Home, made: _Kind) -> None:
        """Write it, over an equal one."""
        path = home.root / self.folder / made.id / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, made.model_dump_json(indent=2) + "\n")

    def paths(self, home: Home) -> list[Path]:
        """The files of all of them, newest first."""
        found = (home.root / self.folder).glob(f"*/{self.file}")
        return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.parent.name), reverse=True)

    def read(self, path: Path) -> _Kind:
        """Raises `StorageError` for a file that cannot be read."""
        try:
            return self.kind.model_validate_json(path.read_bytes())
        except OSError as error:
            raise StorageError(f"cannot be read ({error.strerror})", where=str(path)) from error
        except ValidationError as error:
            first = error.errors()[0]
            raise StorageError(
                f"is damaged or of another version ({first['msg']})",
                where=str(path),
                remedy=f"`raiaudit {self.command} SPEC` writes it anew from its runs",
            ) from None
