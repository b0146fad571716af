"""`raiaudit tradeoff`: what robustness and privacy cost each other, and accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from raiaudit.cli.options import HomeOption

__all__ = ["tradeoff"]


def tradeoff(
    spec: Annotated[
        Path, typer.Argument(help="An audit spec; its first model's recipe is the standard one.")
    ],
    eps: Annotated[
        float | None, typer.Option(help="Radius to train against. Default: the spec's adversarial model.")
    ] = None,
    norm: Annotated[Literal["linf", "l2"] | None, typer.Option(help="Of that radius. Default: linf.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Of the attack inside training. Default: 7.")
    ] = None,
    epsilon: Annotated[
        list[float] | None,
        typer.Option(help="Privacy budget ε; may be given several times. Default: the spec's private model."),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(help="δ of the budget. Default: that of the spec's private model, or 1e-5."),
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write the table here.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Also write table and charts here.")] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One line of JSON on standard output; progress goes to standard error."),
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Audit only the first N test examples: PARTIAL.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Train a task plainly, adversarially, privately and both; audit all alike; one table of what it costs.

    Variants that the spec has are taken from it, others are derived. Every difference to the standard model
    is paired on the same examples. Resumes what was stopped; when all is there, it only compares.

    Example: `raiaudit tradeoff examples/tradeoff.yaml --markdown tradeoff.md`
    """
    from raiaudit.audit.files import write_atomically
    from raiaudit.audit.spec import load_spec
    from raiaudit.audit.store import Home
    from raiaudit.audit.tradeoff.variants import Wishes
    from raiaudit.cli.progress import watch
    from raiaudit.cli.running import limited, write_reports
    from raiaudit.reports.tradeoff import tradeoff_markdown, tradeoff_notes, tradeoff_table

    loaded = load_spec(spec)
    if limit is not None:
        loaded = limited(loaded, limit)
    wishes = Wishes(eps=eps, norm=norm, steps=steps, epsilon=tuple(epsilon or ()), delta=delta)
    try:
        with watch(as_json=False, aside=as_json) as listener:
            from raiaudit.audit.tradeoff.study import study

            found = study(loaded, wishes, Home.at(home), listener=listener, documents=write_reports)
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command resumes", err=True)
        raise typer.Exit(130) from None
    if markdown is not None:
        write_atomically(markdown, tradeoff_markdown(found))
    if pdf is not None:
        from raiaudit.reports.tradeoff_pdf import write_tradeoff_pdf

        write_tradeoff_pdf(found, pdf)
    if as_json:
        typer.echo(found.model_dump_json())
        return
    from rich.console import Console

    console = Console()
    console.print()
    console.print(tradeoff_table(found))
    for note in tradeoff_notes(found):
        console.print(f"  {note}", style="dim", highlight=False, markup=False)
    where = f" --home {home}" if home else ""
    console.print(f"\nnext: raiaudit view{where}", style="bold", highlight=False, markup=False)
