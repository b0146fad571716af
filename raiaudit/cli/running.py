"""`raiaudit run`: the main job."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raiaudit.cli.options import HomeOption, UnsafeLoad, exit_code

if TYPE_CHECKING:
    from raiaudit.audit.store import Run

__all__ = ["run"]


def run(
    spec: Annotated[Path, typer.Argument(help="The audit spec, a YAML file.")],
    home: HomeOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON event a line on standard output.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Audit only the first N test examples; stamps PARTIAL everywhere."),
    ] = None,
    unsafe_load: UnsafeLoad = False,
) -> None:
    """Train what is missing, audit, judge and report.

    Resumes what a crash left and does nothing when all is done. Exit codes: 0 every gate passed · 1 one
    failed · 2 the spec or the data is wrong · 3 undecided, an error, or no gate · 4 a model was refused.

    Example: `raiaudit run examples/digits.yaml`
    """
    from raiaudit.api.auditing import limited, write_reports
    from raiaudit.audit.spec import load_spec
    from raiaudit.audit.store import Home
    from raiaudit.cli.progress import watch
    from raiaudit.cli.validating import notes
    from raiaudit.errors import RaiauditError

    try:
        loaded = load_spec(spec)
        if limit is not None:
            loaded = limited(loaded, limit)
        if not as_json and any(check.gate for check in loaded.spec.checks):
            for note in notes(loaded):  # a metric that nothing measures costs a whole audit
                typer.secho(f"note: {note}", fg="yellow", err=True)
        with watch(as_json=as_json) as listener:
            from raiaudit.audit.runner import run_suite

            runs = run_suite(
                loaded, Home.at(home), listener=listener, documents=write_reports, unsafe_load=unsafe_load
            )
    except KeyboardInterrupt:
        if as_json:
            _finished(None, [], "interrupted", 130)
        typer.echo("interrupted; the same command resumes", err=True)
        raise typer.Exit(130) from None
    except SystemExit as leaving:  # with 0 it would be taken for a pass
        stopped = RaiauditError(f"code of a model or a plug-in ended the program (exit {leaving.code})")
        if as_json:
            _finished(None, [], "error", stopped.exit_code, error=str(stopped))
        raise stopped from leaving
    except Exception as error:
        if as_json:
            code = error.exit_code if isinstance(error, RaiauditError) else RaiauditError.exit_code
            _finished(None, [], "error", code, error=str(error))
        raise
    from raiaudit.audit.gating import in_force, rule, today
    from raiaudit.audit.sealing import seal_of

    runs = [in_force(found) for found in runs]
    rulings = [rule(found.results, today()) for found in runs]
    verdicts = [str(ruling.status) for ruling in rulings]
    code = exit_code(verdicts)
    if as_json:
        waived = sum(len(ruling.waived) for ruling in rulings)
        worst = next((v for v in ("fail", "error", "inconclusive", "not_run") if v in verdicts), "pass")
        more: dict[str, Any] = {"seals": {found.id: seal_of(found.folder) for found in runs}}
        if waived:
            more["waived"] = waived
        _finished(runs[-1].id, [found.id for found in runs], worst, code, **more)
    else:
        _conclude(runs, spec, home)
    raise typer.Exit(code)


def _finished(run_id: str | None, ids: list[str], verdict: str, code: int, **more: Any) -> None:
    event = {"event": "finished", "run": run_id, "runs": ids, "verdict": verdict, "exit_code": code, **more}
    typer.echo(json.dumps(event))


def _conclude(runs: list[Run], spec: Path, home: Path | None) -> None:
    """The verdict table, where the documents are, and what to do next."""
    from rich.console import Console

    from raiaudit.audit.sealing import seal_of
    from raiaudit.reports.formats.terminal import gate_lines, idle_lines, verdict_table

    console = Console()
    console.print()
    console.print(verdict_table(runs))
    for finished in runs:
        for line in gate_lines(finished):
            console.print(line, soft_wrap=not console.is_terminal)  # a log is searched by line
    for line in idle_lines([finished.results for finished in runs]):
        console.print(line)
    console.print()
    for finished in runs:
        # A log that keeps the seal keeps what `raiaudit verify --seal` needs.
        for told in (_shown(finished.folder / "report.pdf"), f"  seal {seal_of(finished.folder)}"):
            console.print(f"  {told}", style="dim", highlight=False, markup=False, soft_wrap=True)
    where = f" --home {shlex.quote(str(home))}" if home else ""
    console.print(f"\nnext: raiaudit view{where}", style="bold", highlight=False, markup=False)


def _shown(path: Path) -> str:
    """Relative to here where that is shorter."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
