"""A study as a PDF: the table with its notes, tables of its own, and the charts."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from raiaudit.audit.files import write_atomically
from raiaudit.reports.formats.pdf import compile_pdf, lacking, timestamp
from raiaudit.reports.studies.study import cell_lines, study_blocks, study_notes
from raiaudit.reports.words.printable import Printable
from raiaudit.reports.words.study_words import METRIC_TITLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.studies.study import Study
    from raiaudit.reports.charts.style import AnyChart
    from raiaudit.reports.formats.blocks import Block

__all__ = ["Chart", "write_study_pdf"]

Chart = tuple[str, "AnyChart"]
"""(caption, chart)."""

_TEMPLATE = Path(__file__).resolve().parent.parent / "templates" / "study.typ"


def write_study_pdf(
    study: Study,
    path: Path,
    *,
    title: str,
    charts: Sequence[Chart],
    blocks: Sequence[Block] = (),
    told: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write the document; the same study gives the same bytes.

    `title` says what kind of study it is, `told` is what to read first of each variant, `blocks` are tables
    besides its own.
    """
    from raiaudit.reports.charts import to_svg

    content: dict[str, Any] = {
        "title": f"{title}: {study.name} on {study.data}" + (" (PARTIAL)" if study.partial else ""),
        "subtitle": f"{study.id} · {study.made[:10]} · {study.machine}",
        "told": [list(pair) for pair in told],
        "tables": [block._asdict() for block in (*study_blocks(study), *blocks)],
        "notes": list(study_notes(study)),
        "charts": [],
    }
    values = "; ".join(
        f"{row.variant}, {METRIC_TITLES[metric]}: {cell_lines(metric, row.cells[metric])[0]}"
        for metric in study.metrics
        for row in study.rows
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        for i, (caption, chart) in enumerate(charts):
            (folder / f"{i}.svg").write_text(to_svg(chart), encoding="utf-8")
            alt = f"Chart. {caption} {values}"
            content["charts"].append({"path": f"{i}.svg", "caption": caption, "alt": alt})
        printable = Printable([content], lacking)
        (folder / "study.typ").write_bytes(_TEMPLATE.read_bytes())
        made = compile_pdf(folder / "study.typ", dict(printable.everything(content)), timestamp(study.made))
    write_atomically(path, made)
    return path
