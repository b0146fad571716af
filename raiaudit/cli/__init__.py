"""The `raiaudit` command. Every sub-command is thin; heavy imports happen inside the ones that need them.

Exit codes: 0 pass · 1 a gate failed · 2 usage or spec error · 3 inconclusive, or an error ·
4 artifact refused · 130 interrupted · 141 nobody reads the output any more.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from raiaudit.cli import (
    catalogues,
    comparing,
    documents,
    fairness,
    gating,
    helping,
    mitigate,
    models,
    running,
    signing,
    starting,
    tradeoff,
    validating,
    viewing,
)

__all__ = ["app", "complain", "main", "steady_streams"]

app = typer.Typer(
    name="raiaudit",
    help="Audit a classifier: robustness, privacy, fairness, explanations and calibration in one run.\n\n"
    "Start with `raiaudit init`, then `raiaudit run audit.yaml` and `raiaudit view`.",
    epilog="Exit codes: 0 every gate passed · 1 a gate failed · 2 the command, the spec or the data is "
    "wrong · 3 undecided, or an error · 4 a model file was refused · 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from raiaudit import __version__

        typer.echo(f"raiaudit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


app.command("init")(starting.init)
app.command("validate")(validating.validate)
app.command("run")(running.run)
app.command("gate")(gating.gate)
app.command("report")(documents.report)
app.command("fairness")(fairness.fairness)
app.command("compare")(comparing.compare)
app.command("tradeoff")(tradeoff.tradeoff)
app.command("mitigate")(mitigate.mitigate)
app.command("view")(viewing.view)
app.command("sign")(signing.sign)
app.command("verify")(documents.verify)
app.add_typer(models.app, name="models")
app.add_typer(catalogues.attacks, name="attacks")
app.add_typer(catalogues.checks, name="checks")
app.command("schema")(catalogues.schema)
helping.show_plainly(app, models.app, catalogues.attacks, catalogues.checks)


def main() -> None:
    """Run the command; errors of ours become one screen of text and their exit code.

    No other error may exit with 1: that is for gates that failed.
    """
    from raiaudit.errors import RaiauditError

    steady_streams()
    try:
        app()
    except RaiauditError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        complain(str(error))
        sys.exit(3)
    except SystemExit as leaving:
        if isinstance(leaving.__context__, BrokenPipeError):  # `raiaudit … | head`
            sys.exit(141)
        raise
    except Exception:
        import traceback

        traceback.print_exc()
        complain("this is a defect of raiaudit, please report it with the lines above")
        sys.exit(3)


def steady_streams() -> None:
    """Output that is closed, or cannot show a ✓ (a legacy code page), must not cost an audit its end."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (as long as the program)
            setattr(sys, name, nowhere)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def complain(text: str) -> None:
    """An error on standard error; characters that could steer a terminal are spelled out."""
    typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
    typer.echo("".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text), err=True)
