"""`raiaudit gate` for CI pipelines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raiaudit.cli.options import HomeOption, exit_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.gating import Ruling
    from raiaudit.audit.store import Home, Run

__all__ = ["gate"]

_HELP = "Run ids, or the start of one each. `latest`: every run that the newest spec started."


def gate(
    names: Annotated[list[str] | None, typer.Argument(metavar="RUN", help=_HELP)] = None,
    home: HomeOption = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    sarif: Annotated[Path | None, typer.Option(help="Write SARIF 2.1.0 here, for code scanning.")] = None,
    summary: Annotated[
        Path | None, typer.Option(help="Append a Markdown summary here, e.g. $GITHUB_STEP_SUMMARY.")
    ] = None,
    waivers: Annotated[
        Path | None,
        typer.Option(help="A YAML file of waivers that count instead of the spec's."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the table.")
    ] = False,
) -> None:
    """Print the verdicts of finished runs and exit with their code.

    Nothing is computed again and no run is touched. A waiver counts through its last day (UTC). Exit codes:

    - 0: every gate passed, or is waived

    - 1: a gate failed

    - 2: there is no such run, or the waiver file is wrong

    - 3: undecided, an error, not run, no gate at all, or a run that has not finished

    Examples: `raiaudit gate` · `raiaudit gate latest --junit audit.xml --sarif audit.sarif` ·
    `raiaudit gate latest --waivers waivers.yaml --summary "$GITHUB_STEP_SUMMARY"`
    """
    from raiaudit.audit.files import write_atomically
    from raiaudit.audit.gating import rule, today
    from raiaudit.audit.store import Home

    day = today()
    runs = _chosen(Home.at(home), names or ["latest"], waivers)
    finished = [run for run in runs if run.finished]
    rulings = [rule(run.results, day) for run in finished]
    verdicts = [str(ruling.status) for ruling in rulings]
    code = exit_code(verdicts + ["inconclusive"] * (len(runs) - len(finished)))
    if as_json:
        typer.echo(json.dumps(_told(runs, rulings, code)))
    else:
        _print(runs, finished)
    if junit is not None:
        from raiaudit.reports.formats.junit import to_junit

        write_atomically(junit, to_junit(runs, day))
    if sarif is not None:
        from raiaudit.reports.formats.sarif import to_sarif

        write_atomically(sarif, to_sarif(runs, day))
    if summary is not None:
        from raiaudit.reports.formats.markdown import LIMIT, to_markdown

        there = summary.stat().st_size if summary.exists() else 0
        with summary.open("a", encoding="utf-8") as file:
            file.write(to_markdown(finished, day, limit=max(0, LIMIT - there)))
    raise typer.Exit(code)


def _chosen(home: Home, names: Sequence[str], waivers: Path | None) -> list[Run]:
    """The runs by name, each once, under the waivers of a file if one is given."""
    from raiaudit.audit.gating import WaivedRun, in_force
    from raiaudit.audit.waivers import load_waivers

    others = None if waivers is None else load_waivers(waivers)
    found: dict[str, Run] = {}
    for name in names:
        for run in home.suite("latest") if name == "latest" else [home.run(name)]:
            found[run.id] = run
    return [in_force(run) if others is None else WaivedRun(run.folder, others) for run in found.values()]


def _told(runs: Sequence[Run], rulings: Sequence[Ruling], code: int) -> dict[str, object]:
    verdict = {0: "pass", 1: "fail"}.get(code, "inconclusive")
    counts = {
        "waived": sum(len(ruling.waived) for ruling in rulings),
        "expired": sum(len(ruling.expired) for ruling in rulings),
    }
    return {"verdict": verdict, "runs": [run.id for run in runs], **counts, "exit_code": code}


def _print(runs: Sequence[Run], finished: Sequence[Run]) -> None:
    from rich.console import Console

    from raiaudit.reports.formats.terminal import gate_lines, idle_lines, verdict_table

    console = Console()
    for run in runs:
        if run not in finished:
            header = run.header
            text = f"{run.id} is {header.status}: {header.error or 'it has not finished'}"
            console.print(text, markup=False, highlight=False)
    if finished:
        console.print(verdict_table(finished))
    for run in finished:
        for line in gate_lines(run):
            console.print(line, soft_wrap=not console.is_terminal)  # a log is searched by line
    for line in idle_lines([run.results for run in finished]):
        console.print(line)
