"""The PDF: content and figures set by Typst as PDF/UA-1 and PDF/A-2a, byte-identical for the same run.

Fonts are those inside the typst wheel, the timestamp is the run's start, system fonts and packages are
out of reach: nothing but the run directory decides the bytes. Text enters as data, never as markup.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from raiaudit.audit.files import write_atomically
from raiaudit.reports.content.illustrated import Illustrated, illustrated
from raiaudit.reports.words.glyphs import STANDARDS, fonts, lacking

if TYPE_CHECKING:
    from raiaudit.audit.store import Run

__all__ = ["STANDARDS", "compile_pdf", "lacking", "timestamp", "write_pdf"]

_TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


def write_pdf(run: Run, path: Path | None = None, *, report: Illustrated | None = None) -> Path:
    """Write the report of a finished run, by default to `report.pdf` in its directory.

    `report` is the run's, if it was drawn already.
    """
    target = path or run.folder / "report.pdf"
    ready = report or illustrated(run)
    with TemporaryDirectory() as folder:
        content = _with_figures(ready, Path(folder))
        for part in _TEMPLATES.glob("report*.typ"):
            (Path(folder) / part.name).write_bytes(part.read_bytes())
        document = compile_pdf(Path(folder) / "report.typ", content, timestamp(ready.started))
    write_atomically(target, document)
    return target


def _with_figures(report: Illustrated, folder: Path) -> dict[str, Any]:
    """The printable content; its charts and pictures are written into `folder`."""
    content = report.worded(report.print)
    checks = [section["check"] for section in report.content["sections"]]
    for number, (check, section) in enumerate(zip(checks, content["sections"], strict=True)):
        section |= {"charts": [], "pictures": []}
        for i, figure in enumerate(report.drawn[check]):
            name = f"s{number}-{i}.{figure.kind}"
            (folder / name).write_bytes(figure.content)
            place = "charts" if figure.kind == "svg" else "pictures"
            look = {"broad": figure.broad, "row": figure.row}
            section[place].append({"path": name, "caption": figure.caption, "alt": figure.alt, **look})
    return content


def compile_pdf(template: Path, content: dict[str, Any], at: int) -> bytes:
    """The document of a template beside which its pictures lie; `at` is the time in it, in seconds."""
    import typst

    return typst.compile(
        template,
        root=template.parent,
        font_paths=fonts(),
        sys_inputs={"data": json.dumps(content)},
        pdf_standards=STANDARDS,
        timestamp=at,
        format="pdf",
    )


def timestamp(started: str) -> int:
    """Seconds since 1970 of a time in ISO 8601."""
    return int(datetime.fromisoformat(started).timestamp())
