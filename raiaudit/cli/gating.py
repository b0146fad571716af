"""`raiaudit gate` for CI pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raiaudit.cli.options import HomeOption, RunName, exit_code

__all__ = ["gate"]


def gate(
    run: RunName = "latest",
    home: HomeOption = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    summary: Annotated[
        Path | None, typer.Option(help="Append a Markdown summary here, e.g. $GITHUB_STEP_SUMMARY.")
    ] = None,
) -> None:
    """Print the verdicts of a finished run and exit with their code.

    `latest` stands for every run that the newest spec started; a run id for that run alone.

    Example: `raiaudit gate latest --junit audit.xml`
    """
    from rich.console import Console

    from raiaudit.audit.files import write_atomically
    from raiaudit.audit.store import Home
    from raiaudit.reports.terminal import gate_lines, verdict_table

    store = Home.at(home)
    runs = store.suite("latest") if run == "latest" else [store.run(run)]
    verdicts = [found.results.verdict if found.finished else "inconclusive" for found in runs]
    finished = [found for found in runs if found.finished]
    console = Console()
    for found in runs:
        if not found.finished:
            header = found.header
            text = f"{found.id} is {header.status}: {header.error or 'it has not finished'}"
            console.print(text, markup=False, highlight=False)
    if finished:
        console.print(verdict_table(finished))
        for found in finished:
            for line in gate_lines(found):
                console.print(line)
    if junit is not None:
        from raiaudit.reports.junit import to_junit

        write_atomically(junit, to_junit(runs))
    if summary is not None:
        from raiaudit.reports.markdown import to_markdown

        with summary.open("a", encoding="utf-8") as file:
            file.write(to_markdown(finished))
    raise typer.Exit(exit_code([str(verdict) for verdict in verdicts]))
