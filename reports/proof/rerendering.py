"""A run's documents made once more from its results and evidence, and held against those that are there.

The same run gives the same bytes with the same raiaudit; a run of another version cannot be told so.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from raiaudit.audit.store import Run
from raiaudit.errors import RaiauditError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["documents_unlike_their_run"]

_SOURCES = ("spec.lock.yaml", "header.json", "journal.jsonl", "results.json")


def documents_unlike_their_run(run: Run) -> tuple[list[str], list[str]]:
    """Problems, and remarks on what was and was not made again."""
    from raiaudit import __version__
    from raiaudit.reports import write_documents

    made_by = run.header.versions.get("raiaudit")
    if made_by != __version__:
        return [], [f"documents: not made again, for raiaudit {made_by} made them and this is {__version__}"]
    if any(verdict.waiver is not None for verdict in run.results.verdicts):
        return [], ["documents: not made again, for which waivers are in force depends on the day"]
    with TemporaryDirectory() as name:
        copy = Run(Path(name) / "runs" / run.id)
        copy.folder.mkdir(parents=True)
        for part in _SOURCES:
            if (run.folder / part).is_file():
                shutil.copyfile(run.folder / part, copy.folder / part)
        for part in ("ledger", "evidence"):
            if (run.folder / part).is_dir():
                shutil.copytree(run.folder / part, copy.folder / part)
        try:
            made = [path.name for path in write_documents(copy)]
        except RaiauditError as error:
            return [f"its documents cannot be made again: {error}"], []
        # What the run never had is no forgery; what it had and lost, its manifest names.
        held = [name for name in made if (run.folder / name).is_file()]
        problems = list(_unlike(run, copy, held))
    told = f"{len(held) - len(problems)} of {len(held)} documents come out the same to the byte"
    absent = sorted(set(made) - set(held))
    return problems, [told, *([f"not in this run: {', '.join(absent)}"] if absent else [])]


def _unlike(run: Run, copy: Run, held: list[str]) -> Iterator[str]:
    for name in held:
        if (run.folder / name).read_bytes() != (copy.folder / name).read_bytes():
            yield f"{name} is not what this raiaudit makes of the run's results and evidence"
