"""Documents made from a finished run: for people, for tables, for CI. Never touches a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.audit.store import Run

__all__ = ["FORMATS", "write_document", "write_documents"]

FORMATS = {
    "pdf": "report.pdf",
    "html": "report.html",
    "md": "summary.md",
    "csv": "measurements.csv",
    "parquet": "measurements.parquet",
    "card": "model_card.md",
}
"""What `raiaudit report` writes, and what each is called in the run directory."""


def write_documents(run: Run) -> list[Path]:
    """Write every document of a finished run into its directory; figures are drawn once for all.

    `report.pdf`, `report.html`, `measurements.csv`, `measurements.parquet`, `model_card.md` (not for a run of
    predictions, which saw no model), `junit.xml`, `results.sarif` and `summary.md`.
    """
    from raiaudit.audit.files import write_atomically
    from raiaudit.reports.content.illustrated import illustrated
    from raiaudit.reports.formats.junit import to_junit
    from raiaudit.reports.formats.markdown import to_markdown
    from raiaudit.reports.formats.model_card import write_card
    from raiaudit.reports.formats.pdf import write_pdf
    from raiaudit.reports.formats.sarif import to_sarif
    from raiaudit.reports.formats.tables import write_csv, write_parquet
    from raiaudit.reports.html import write_html

    texts = {
        "junit.xml": to_junit([run]),
        "results.sarif": to_sarif([run]),
        "summary.md": to_markdown([run]),
    }
    for name, text in texts.items():
        write_atomically(run.folder / name, text)
    drawn = illustrated(run)
    card = [] if drawn.results.subject.record.is_predictions else [write_card(run)]
    return [
        write_pdf(run, report=drawn),
        write_html(run, report=drawn),
        write_csv(run),
        write_parquet(run),
        *card,
        *(run.folder / name for name in texts),
    ]


def write_document(run: Run, form: str, path: Path) -> Path:
    """Write one document, by its key in `FORMATS`, of a finished run to `path`."""
    from raiaudit.audit.files import write_atomically
    from raiaudit.reports.formats.markdown import to_markdown
    from raiaudit.reports.formats.model_card import write_card
    from raiaudit.reports.formats.pdf import write_pdf
    from raiaudit.reports.formats.tables import write_csv, write_parquet
    from raiaudit.reports.html import write_html

    if form == "md":
        write_atomically(path, to_markdown([run]))
        return path
    writers = {
        "pdf": write_pdf,
        "html": write_html,
        "csv": write_csv,
        "parquet": write_parquet,
        "card": write_card,
    }
    return writers[form](run, path)
