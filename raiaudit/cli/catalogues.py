"""`raiaudit attacks list`, `raiaudit checks list`, `raiaudit schema`: what there is."""

from __future__ import annotations

import json
from typing import Annotated

import typer

__all__ = ["attacks", "checks", "schema"]

attacks = typer.Typer(help="The attacks that checks can use.", no_args_is_help=True)
checks = typer.Typer(help="The checks a spec can name.", no_args_is_help=True)


@attacks.command("list")
def list_attacks() -> None:
    """Evasion and inference attacks and corruptions, with what they take.

    Example: `raiaudit attacks list`
    """
    from rich.console import Console
    from rich.table import Table

    from raiaudit.attacks.corruptions import CORRUPTIONS
    from raiaudit.attacks.evasion import EVASION
    from raiaudit.attacks.inference import INFERENCE

    table = Table("kind", "name", "norms", "needs", "what it does", box=None)
    needs = {"white": "gradients", "score": "scores", "label": "labels"}
    for kind, catalogue in (("evasion", EVASION), ("corruption", CORRUPTIONS), ("inference", INFERENCE)):
        for name, entry in catalogue.items():
            norms = ", ".join(sorted(getattr(entry, "norms", ())))
            knowledge = needs.get(getattr(entry, "knowledge", ""), "")
            table.add_row(kind, name, norms, knowledge, _first_line(entry))
    Console().print(table)


@checks.command("list")
def list_checks() -> None:
    """Every check with its question and its options.

    Example: `raiaudit checks list`
    """
    from raiaudit.audit.catalogue import all_checks

    for name, check in all_checks().items():
        typer.secho(name, bold=True)
        typer.echo(f"  {check.question}")
        if check.needs:
            typer.echo(f"  needs: {', '.join(sorted(check.needs))}")
        for option, info in check.Config.model_fields.items():
            default = (
                "" if info.is_required() else f" (default {info.get_default(call_default_factory=True)!r})"
            )
            typer.echo(f"  with.{option}{default}{': ' + info.description if info.description else ''}")


def schema(
    of: Annotated[str, typer.Argument(help="`spec` or `results`.")] = "spec",
) -> None:
    """Print the JSON Schema of a spec (for your editor) or of results.json.

    Example: `raiaudit schema results > results.schema.json`
    """
    from raiaudit.audit.schemas import schema_of

    typer.echo(json.dumps(schema_of(of), indent=2))


def _first_line(entry: object) -> str:
    target = getattr(entry, "func", entry)
    return ((getattr(target, "__doc__", None) or "").strip().splitlines() or [""])[0]
