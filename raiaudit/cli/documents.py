"""`raiaudit report` and `raiaudit verify`: a run's documents, and whether they are what they were."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from raiaudit.cli.options import HomeOption, RunName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raiaudit.audit.store import Run

__all__ = ["report", "verify"]


def report(
    run: RunName = "latest",
    home: HomeOption = None,
    form: Annotated[
        Literal["pdf", "html", "md", "csv", "parquet", "card"],
        typer.Option("--format", "-f", help="csv, parquet: all measurements; card: the model's."),
    ] = "pdf",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write it anew, here. Default: the one of the run directory."),
    ] = None,
) -> None:
    """Print the path of a finished run's document, or write it anew: PDF, page, summary, table or model card.

    Example: `raiaudit report latest --format html --out audit.html`
    """
    from raiaudit.audit.store import Home
    from raiaudit.reports import FORMATS, write_document

    found = Home.at(home).run(run)
    typer.echo(write_document(found, form, out) if out else _own(found.folder / FORMATS[form]))


def _own(path: Path) -> Path:
    from raiaudit.errors import StorageError

    if not path.is_file():
        raise StorageError(
            f"the run has no {path.name}",
            where=str(path.parent),
            remedy="finish it: `raiaudit run SPEC`, or use --out FILE",
        )
    return path


def verify(
    document: Annotated[
        Path, typer.Argument(help="A report.pdf, a run directory, or a run id.", metavar="PDF|RUN")
    ],
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Where the PDF is said to come from: a run directory or id. Default: the folder it lies in."
        ),
    ] = None,
    seal: Annotated[
        str | None, typer.Option(help="The seal noted when the run was made: tells if all was made anew.")
    ] = None,
    trust: Annotated[
        list[Path] | None,
        typer.Option(
            help="A certificate (PEM or DER) that the PDF's signatures must lead to; may be repeated."
        ),
    ] = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep", help="Also derive the results from the ledger again, and the documents from them."
        ),
    ] = False,
    home: HomeOption = None,
) -> None:
    """Recompute every hash of a run and hold its PDF, or the one given, against it.

    Exits with 0 if all is as it was sealed, with 1 naming every file that is not, with 3 for a run that was
    never sealed. Of a signed PDF it says who signed; reading signatures needs the extra `sign`.
    Seals tell what changed later, `--deep` results that never followed from their rows: it needs the data
    set and, for documents, the same version of raiaudit, and says what it could not do.

    Example: `raiaudit verify report.pdf .raiaudit/runs/digits-digits-cnn-1f2e3d4c5b`
    """
    from raiaudit.audit.sealing import MANIFEST, breaches, seal_of
    from raiaudit.errors import UsageError
    from raiaudit.reports.proof.verification import REPORT, examine_pdf

    found = _run_of(document, run, home)
    if not found.folder.is_dir():
        raise UsageError("no such run directory", where=str(found.folder))
    problems = [str(breach) for breach in breaches(found.folder)]
    given = document.is_file()
    pdf = document if given else found.folder / REPORT
    remarks: list[str] = []
    if pdf.is_file() and not pdf.is_symlink():
        examined = examine_pdf(
            pdf.read_bytes(), found, name=str(document) if given else REPORT, roots=trust or ()
        )
        problems += examined.problems
        remarks += examined.remarks
    if deep:
        for more_problems, more_remarks in _deep(found):
            problems += more_problems
            remarks += more_remarks
    here = seal_of(found.folder)
    if seal is not None and seal.lower() != here:
        problems.append(f"{MANIFEST} has the seal {here}, not the one given: it was made anew")
    for problem in problems:
        _say(f"BROKEN: {problem}")
    for remark in remarks:
        _say(remark)
    if problems:
        raise typer.Exit(1)
    _say(f"intact: every file of {found.id} is as it was sealed")
    _say(f"seal: {here}" + ("" if seal else " (kept elsewhere, it also tells if all was made anew: --seal)"))


def _deep(run: Run) -> Iterator[tuple[list[str], list[str]]]:
    """Problems and remarks."""
    from raiaudit.audit.rederiving import rederive
    from raiaudit.errors import StorageError
    from raiaudit.reports.proof.rerendering import documents_unlike_their_run

    try:
        found = rederive(run)
        yield found.problems, found.remarks
        yield documents_unlike_their_run(run)
    except StorageError as error:
        yield [f"nothing can be derived again: {error}"], []


def _run_of(document: Path, run: Path | None, home: Path | None) -> Run:
    from raiaudit.audit.store import Home, Run
    from raiaudit.errors import UsageError

    if run is not None and not document.is_file():
        raise UsageError("no such file", where=str(document))
    if run is not None and not run.is_dir() and len(run.parts) == 1:
        return Home.at(home).run(str(run))
    if run is not None or document.is_dir():
        return Run(run or document)
    if document.is_file():
        if not (document.parent / "header.json").exists():
            raise UsageError(
                "the PDF does not lie in a run directory, so there is nothing to hold it against",
                where=str(document),
                remedy=f"name its run as well: raiaudit verify {document} RUN",
            )
        return Run(document.parent)
    if len(document.parts) > 1:
        raise UsageError("no such file", where=str(document))
    return Home.at(home).run(str(document))


def _say(line: str) -> None:
    """Control characters are shown, not obeyed: a file's name must not move the cursor."""
    typer.echo("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))
