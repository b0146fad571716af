"""Documents made from a finished run: PDF, Markdown, JUnit. Never touches a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.audit.store import Run

__all__ = ["write_documents"]


def write_documents(run: Run) -> list[Path]:
    """Write `report.pdf`, `junit.xml` and `summary.md` into the directory of a finished run."""
    from raiaudit.audit.files import write_atomically
    from raiaudit.reports.junit import to_junit
    from raiaudit.reports.markdown import to_markdown
    from raiaudit.reports.pdf import write_pdf

    junit, summary = run.folder / "junit.xml", run.folder / "summary.md"
    write_atomically(junit, to_junit([run]))
    write_atomically(summary, to_markdown([run]))
    return [write_pdf(run), junit, summary]
