"""Documents made from a finished run: PDF, Markdown, JUnit, SARIF. Never touches a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.audit.store import Run

__all__ = ["write_documents"]


def write_documents(run: Run) -> list[Path]:
    """Write `report.pdf`, `junit.xml`, `results.sarif` and `summary.md` into the folder of a finished run."""
    from raiaudit.audit.files import write_atomically
    from raiaudit.reports.junit import to_junit
    from raiaudit.reports.markdown import to_markdown
    from raiaudit.reports.pdf import write_pdf
    from raiaudit.reports.sarif import to_sarif

    texts = {
        "junit.xml": to_junit([run]),
        "results.sarif": to_sarif([run]),
        "summary.md": to_markdown([run]),
    }
    for name, text in texts.items():
        write_atomically(run.folder / name, text)
    return [write_pdf(run), *(run.folder / name for name in texts)]
