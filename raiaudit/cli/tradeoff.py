"""`raiaudit tradeoff`: what robustness and privacy cost each other, and accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from raiaudit.cli.options import HomeOption
from raiaudit.cli.studying import AsJson, Limit, Markdown, Pdf, conducted, presented

if TYPE_CHECKING:
    from raiaudit.audit.studies.study import Study

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
    markdown: Markdown = None,
    pdf: Pdf = None,
    as_json: AsJson = False,
    limit: Limit = None,
    home: HomeOption = None,
) -> None:
    """Train a task plainly, adversarially, privately and both; audit all alike; one table of what it costs.

    Variants that the spec has are taken from it, others are derived. Every difference to the standard model
    is paired on the same examples. Resumes what was stopped; when all is there, it only compares.

    Example: `raiaudit tradeoff examples/tradeoff.yaml --markdown tradeoff.md`
    """
    from raiaudit.audit.tradeoff.variants import Wishes

    wishes = Wishes(eps=eps, norm=norm, steps=steps, epsilon=tuple(epsilon or ()), delta=delta)
    found = conducted(_study, spec, wishes, home, limit=limit, as_json=as_json)
    if pdf is not None:
        from raiaudit.reports.studies.tradeoff import write_tradeoff_pdf

        write_tradeoff_pdf(found, pdf)
    presented(found, home, markdown=markdown, as_json=as_json)


def _study(*arguments: Any, **options: Any) -> Study:
    """Imported within the progress display, which starts at once."""
    from raiaudit.audit.tradeoff.study import study

    return study(*arguments, **options)
