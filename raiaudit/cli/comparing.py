"""`raiaudit compare`: two or many runs on the same examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raiaudit.cli.options import HomeOption

__all__ = ["compare"]


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Runs, the reference first: ids, beginnings of ids, suites (all their runs), or `latest`.",
            metavar="REFERENCE RUN…",
        ),
    ],
    home: HomeOption = None,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Level of the intervals, and 1 − that of the tests.")
    ] = 0.95,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write a PDF here.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write one HTML file here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """What differs between runs, then paired changes against the first of them, with tests.

    Exits with 2 for runs that cannot be compared: other data, other examples, no kept examples. Whether a
    change is acceptable is a gate's business (`vs_baseline`), not this command's.

    Example: `raiaudit compare digits-digits-cnn-1f digits-digits-cnn-adversarial --out compare.pdf`
    """
    from raiaudit.audit.comparison import compare_runs, named_runs
    from raiaudit.audit.files import write_atomically
    from raiaudit.audit.store import Home

    comparison = compare_runs(named_runs(Home.at(home), runs), confidence=confidence)
    if out is not None:
        from raiaudit.reports.comparison.pdf import write_comparison_pdf

        write_comparison_pdf(comparison, out)
    if html is not None:
        from raiaudit.reports.comparison.page import comparison_html

        write_atomically(html, comparison_html(comparison))
    if as_json:
        typer.echo(comparison.model_dump_json(indent=2))
        return
    from raiaudit.reports.comparison.terminal import print_comparison

    print_comparison(comparison)
    for path in (out, html):
        if path is not None:
            typer.echo(path)
