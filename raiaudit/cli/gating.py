"""`raiaudit gate` for CI pipelines, and `raiaudit compare` for two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raiaudit.cli.options import HomeOption, RunName, exit_code

__all__ = ["compare", "gate"]


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


def compare(
    ours: Annotated[str, typer.Argument(help="The run to judge.", metavar="RUN")],
    baseline: Annotated[str, typer.Argument(help="The run to hold it against.", metavar="BASELINE")],
    home: HomeOption = None,
) -> None:
    """Paired differences between two runs on the same examples, with intervals.

    Says first in what the runs differ; refuses runs on different data.

    Example: `raiaudit compare digits-digits-cnn-adversarial digits-digits-cnn-1f`
    """
    from rich.console import Console
    from rich.table import Table

    from raiaudit.audit.comparison import compare_runs
    from raiaudit.audit.store import Home

    store = Home.at(home)
    comparison = compare_runs(store.run(ours), store.run(baseline))
    console = Console()
    for line in comparison.differences:
        console.print(f"differs: {line}", markup=False, highlight=False)
    table = Table("measure", "examples", "run", "baseline", "change", "95 % interval", box=None)
    for change in comparison.changes:
        table.add_row(
            change.name,
            str(change.n),
            f"{change.ours:.1%}",
            f"{change.baseline:.1%}",
            f"{change.difference:+.1%}",
            f"[{change.low:+.1%}, {change.high:+.1%}]".replace("[", "\\["),
        )
    console.print(table)
