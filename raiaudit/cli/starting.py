"""`raiaudit init`: a commented spec for the data it is pointed at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raiaudit.audit.drafting.drafting import Draft

__all__ = ["init"]

_DEFAULT = Path("audit.yaml")
_SPECS = (".yaml", ".yml")


def init(
    data: Annotated[
        str,
        typer.Argument(
            help="A table (.csv, .tsv, .parquet), a folder of images by class, a folder with train.csv and "
            "test.csv, arrays (.npz), or a data set such as `adult`."
        ),
    ] = "digits",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it. Default: audit.yaml")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    groups: Annotated[
        str | None, typer.Option(help="Columns of people who may be treated unalike: A,B; `''` for none.")
    ] = None,
    id_column: Annotated[str | None, typer.Option("--id", help="The column that names rows.")] = None,
    text: Annotated[
        str | None, typer.Option(help="The column of texts, which makes this a text data set.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a commented spec for your data, with what each column was taken for and why.

    Example: `raiaudit init loans.csv --label repaid`
    """
    from raiaudit.audit.drafting.drafting import Overrides, draft
    from raiaudit.audit.files import write_atomically
    from raiaudit.errors import UsageError

    if data.lower().endswith(_SPECS) and output is None and not Path(data).is_dir():
        # `raiaudit init audit.yaml` names where to write, not what to look at.
        data, output = "digits", Path(data)
    target = output or _DEFAULT
    if target.exists() and not force:
        raise UsageError("the file exists", where=str(target), remedy="choose another name, or add --force")
    named = None if groups is None else tuple(name for name in groups.split(",") if name)
    drafted = draft(data, target=target, said=Overrides(label, named, id_column, text))
    write_atomically(target, drafted.text)
    _show(drafted, target)


def _show(drafted: Draft, target: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=False)
    table = Table("", "guess", "why", "to change it", box=None, pad_edge=False)
    for guess in drafted.guesses:
        table.add_row(*(_plain(cell) for cell in (guess.what, guess.value, guess.why, guess.change)))
    console.print(table)
    for remark in drafted.remarks:
        typer.echo(f"column {remark}")
    for warning in drafted.warnings:
        typer.secho(f"note: {warning}", fg="yellow")
    typer.echo(f"\nwrote {target}\nnext: raiaudit validate {target}\n      raiaudit run {target}")


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
