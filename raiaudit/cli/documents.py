"""`raiaudit report` and `raiaudit verify`: a run's documents, and whether they are what they were."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raiaudit.cli.options import HomeOption, RunName

__all__ = ["report", "verify"]


def report(
    run: RunName = "latest",
    home: HomeOption = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to write the PDF.")] = None,
) -> None:
    """Write the PDF of a finished run and print its path.

    Example: `raiaudit report latest --out audit.pdf`
    """
    from raiaudit.audit.store import Home
    from raiaudit.reports.pdf import write_pdf

    found = Home.at(home).run(run)
    typer.echo(write_pdf(found, out) if out else _own(found.folder / "report.pdf"))


def _own(path: Path) -> Path:
    from raiaudit.errors import StorageError

    if not path.is_file():
        raise StorageError(
            "the run has no report",
            where=str(path),
            remedy="finish it: `raiaudit run SPEC`, or use --out FILE",
        )
    return path


def verify(
    document: Annotated[Path, typer.Argument(help="A report.pdf, or a run directory.")],
    run: Annotated[
        Path | None, typer.Argument(help="The run directory the PDF is said to come from.")
    ] = None,
) -> None:
    """Recompute every hash of a run and check that a PDF is the one it sealed.

    Example: `raiaudit verify report.pdf .raiaudit/runs/digits-digits-cnn-1f2e3d4c5b`
    """
    import hashlib

    from raiaudit.audit.store import Run
    from raiaudit.errors import UsageError

    if not document.exists():
        raise UsageError("no such file", where=str(document))
    folder = run or (document if document.is_dir() else document.parent)
    if not folder.is_dir():
        raise UsageError("no such run directory", where=str(folder))
    found = Run(folder)
    problems = [f"{name} is not as it was sealed" for name in found.broken_seals()]
    if document.is_file():
        digest = hashlib.sha256(document.read_bytes()).hexdigest()
        if digest != found.sealed_digest("report.pdf"):
            problems.append(f"{document} is not the PDF this run sealed")
    for problem in problems:
        typer.echo(f"BROKEN: {problem}")
    if problems:
        raise typer.Exit(1)
    typer.echo(f"intact: every file of {found.id} is as it was sealed")
