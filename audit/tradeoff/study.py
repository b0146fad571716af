"""The trade-off study: the variants trained and audited, and what they gain and lose in one table.

It is `run_suite` underneath: every model is registered and every audit a run like any other, so that a study
resumes where it was stopped and costs nothing when all is there. Its table is kept as
`tradeoffs/<id>/tradeoff.json` in the state folder; equal studies share an id.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from raiaudit.audit.files import write_atomically
from raiaudit.audit.journal import now
from raiaudit.audit.runner import run_suite
from raiaudit.audit.tradeoff.cells import CELLS, CONFIDENCE, Cell
from raiaudit.audit.tradeoff.variants import derive
from raiaudit.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from raiaudit.audit.journal import Listener
    from raiaudit.audit.spec import LoadedSpec
    from raiaudit.audit.store import Home, Run
    from raiaudit.audit.tradeoff.variants import Wishes

__all__ = ["Study", "StudyRow", "read_study", "studies", "study"]

_FILE = "tradeoff.json"


class StudyRow(BaseModel):
    """One variant: the model, its run, and its cells by metric."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variant: str
    model: str
    run: str
    cells: dict[str, Cell]


class Study(BaseModel):
    """What `tradeoff.json` holds; the first row is the standard model. Intervals are at `confidence`."""

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
        return tuple(m for m in CELLS if any(row.cells[m].value is not None for row in self.rows))


def study(
    loaded: LoadedSpec,
    wishes: Wishes,
    home: Home,
    *,
    listener: Listener,
    documents: Callable[[Run], object],
) -> Study:
    """Train and audit what is missing, then compare. Raises what `derive` and `run_suite` raise."""
    variants = derive(loaded, wishes)
    runs = run_suite(variants.loaded, home, listener=listener, documents=documents)
    named = dict(zip(variants.titles, runs, strict=True))
    cells = {metric: measure(named) for metric, measure in CELLS.items()}
    first, header = runs[0].results, runs[0].header
    digest = hashlib.sha256("|".join([*variants.titles, *(run.id for run in runs)]).encode()).hexdigest()
    made = Study(
        id=f"{loaded.name}-{digest[:10]}".lower(),
        name=loaded.name,
        data=first.data.name,
        seed=first.seed,
        partial=first.partial,
        made=now(),
        machine=header.machine,
        versions=header.versions,
        spec_path=str(loaded.source.path),
        notes=variants.notes,
        rows=tuple(
            StudyRow(
                variant=variant,
                model=variants.titles[variant],
                run=run.id,
                cells={metric: cells[metric][variant] for metric in CELLS},
            )
            for variant, run in named.items()
        ),
    )
    path = _folder(home) / made.id / _FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, made.model_dump_json(indent=2) + "\n")
    return made


def studies(home: Home) -> list[Path]:
    """The files of all studies under the state folder, newest first."""
    found = _folder(home).glob(f"*/{_FILE}")
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.parent.name), reverse=True)


def read_study(path: Path) -> Study:
    """Raises `StorageError` for a file that cannot be read."""
    try:
        return Study.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StorageError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise StorageError(
            f"is damaged or of another version ({first['msg']})",
            where=str(path),
            remedy="`raiaudit tradeoff SPEC` writes it anew from its runs",
        ) from None


def _folder(home: Home) -> Path:
    return home.root / "tradeoffs"
