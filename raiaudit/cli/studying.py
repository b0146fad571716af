"""What the commands of studies share: making one, and showing it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from raiaudit.audit.spec import LoadedSpec
    from raiaudit.audit.studies.study import Study
    from raiaudit.reports.formats.blocks import Block

__all__ = ["AsJson", "Limit", "Markdown", "Pdf", "conducted", "presented"]

AsJson = Annotated[
    bool,
    typer.Option("--json", help="One line of JSON on standard output; progress goes to standard error."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Audit only the first N test examples: PARTIAL.")]
Markdown = Annotated[Path | None, typer.Option(help="Also write the table here.")]
Pdf = Annotated[Path | None, typer.Option(help="Also write table and charts here.")]

_Kind = TypeVar("_Kind", bound="Study")


def conducted(
    make: Callable[..., _Kind],
    spec: Path,
    wishes: Any,
    home: Path | None,
    *,
    limit: int | None,
    as_json: bool,
) -> _Kind:
    """The study that `make(loaded, wishes, home, listener=, documents=)` makes, with its progress shown."""
    from raiaudit.api.auditing import limited, write_reports
    from raiaudit.audit.spec import load_spec
    from raiaudit.audit.store import Home
    from raiaudit.cli.progress import watch

    loaded: LoadedSpec = load_spec(spec)
    if limit is not None:
        loaded = limited(loaded, limit)
    try:
        with watch(as_json=False, aside=as_json) as listener:
            return make(loaded, wishes, Home.at(home), listener=listener, documents=write_reports)
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command resumes", err=True)
        raise typer.Exit(130) from None


def presented(
    found: Study,
    home: Path | None,
    *,
    markdown: Path | None,
    as_json: bool,
    blocks: Sequence[Block] = (),
    told: Sequence[tuple[str, str]] = (),
) -> None:
    """As JSON, or as tables on the terminal; `blocks` and `told` are what this kind has besides its table."""
    from raiaudit.audit.files import write_atomically
    from raiaudit.reports.formats.blocks import terminal_table
    from raiaudit.reports.studies.study import study_blocks, study_markdown, study_notes

    if markdown is not None:
        write_atomically(markdown, study_markdown(found, blocks, told))
    if as_json:
        typer.echo(found.model_dump_json())
        return
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print()
    for block in (*study_blocks(found), *blocks):
        console.print(terminal_table(block))
    for variant, line in told:
        console.print(Text.assemble((f"{variant}. ", "bold"), line))
    for note in study_notes(found):
        console.print(f"  {note}", style="dim", highlight=False, markup=False)
    where = f" --home {home}" if home else ""
    console.print(f"\nnext: raiaudit view{where}", style="bold", highlight=False, markup=False)
