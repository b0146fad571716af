"""`raiaudit mitigate`: what closes a gap between groups, what it costs, and who pays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from raiaudit.cli.options import HomeOption
from raiaudit.cli.studying import AsJson, Limit, Markdown, Pdf, conducted, presented

if TYPE_CHECKING:
    from raiaudit.audit.mitigation.study import MitigationStudy

__all__ = ["mitigate"]


def mitigate(
    spec: Annotated[
        Path, typer.Argument(help="An audit spec; its first model's recipe is the standard one.")
    ],
    attribute: Annotated[str, typer.Option(help="The group column to treat alike.")],
    method: Annotated[
        list[str] | None,
        typer.Option(help="May be given several times. Default: every method that suits the data."),
    ] = None,
    criterion: Annotated[
        Literal["demographic_parity", "equal_opportunity", "equalized_odds"],
        typer.Option(help="What shall be alike, and what disparity is measured by."),
    ] = "demographic_parity",
    positive: Annotated[
        str | None, typer.Option(help="The class of the selected. Default: the last of two.")
    ] = None,
    bound: Annotated[
        float | None, typer.Option(help="The gap that derived models may leave. Default: 0.01.")
    ] = None,
    markdown: Markdown = None,
    pdf: Pdf = None,
    as_json: AsJson = False,
    limit: Limit = None,
    home: HomeOption = None,
) -> None:
    """Train a model plainly and with what is done about groups; audit all alike; who gains, who pays.

    Fair models that the spec has are taken from it, other methods are derived. Every difference to the
    standard model is paired on the same examples. Resumes what was stopped; when all is there, compares.

    Example: `raiaudit mitigate examples/mitigate_adult.yaml --attribute sex --markdown mitigation.md`
    """
    from raiaudit.audit.mitigation.variants import Wishes

    wishes = Wishes(attribute, tuple(dict.fromkeys(method or ())), criterion, positive, bound)
    found = conducted(_study, spec, wishes, home, limit=limit, as_json=as_json)
    from raiaudit.reports.studies.mitigation import harm_blocks, told_lines, write_mitigation_pdf

    if pdf is not None:
        write_mitigation_pdf(found, pdf)
    presented(
        found,
        home,
        markdown=markdown,
        as_json=as_json,
        blocks=list(harm_blocks(found)),
        told=list(told_lines(found)),
    )


def _study(*arguments: Any, **options: Any) -> MitigationStudy:
    """Imported within the progress display, which starts at once."""
    from raiaudit.audit.mitigation.study import study

    return study(*arguments, **options)
