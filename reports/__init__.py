"""Documents made from a finished run: PDF, page, tables, model card, Markdown, JUnit. Never touches a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.audit.store import Run

__all__ = ["write_documents"]


def write_documents(run: Run) -> list[Path]:
    """Write every document of a finished run into its directory; figures are drawn once for all.

    `report.pdf`, `report.html`, `measurements.csv`, `measurements.parquet`, `model_card.md` (not for a run of
    predictions, which saw no model), `junit.xml` and `summary.md`.
    """
    from raiaudit.audit.files import write_atomically
    from raiaudit.reports.html import write_html
    from raiaudit.reports.illustrated import illustrated
    from raiaudit.reports.junit import to_junit
    from raiaudit.reports.markdown import to_markdown
    from raiaudit.reports.model_card import write_card
    from raiaudit.reports.pdf import write_pdf
    from raiaudit.reports.tables import write_csv, write_parquet

    junit, summary = run.folder / "junit.xml", run.folder / "summary.md"
    write_atomically(junit, to_junit([run]))
    write_atomically(summary, to_markdown([run]))
    drawn = illustrated(run)
    card = [] if drawn.results.subject.record.is_predictions else [write_card(run)]
    return [
        write_pdf(run, report=drawn),
        write_html(run, report=drawn),
        write_csv(run),
        write_parquet(run),
        *card,
        junit,
        summary,
    ]
