"""A comparison as a PDF: what differs, what to read first, the forest plot, the tables."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from raiaudit.audit.files import write_atomically
from raiaudit.reports.comparison.differences import difference_blocks
from raiaudit.reports.comparison.findings import findings, reading_notes
from raiaudit.reports.comparison.tables import comparison_tables, gap_block, run_block
from raiaudit.reports.formats.pdf import compile_pdf, lacking, timestamp
from raiaudit.reports.words.comparison_words import comparison_title
from raiaudit.reports.words.printable import Printable

if TYPE_CHECKING:
    from raiaudit.audit.comparison.results import Comparison

__all__ = ["FORESTS", "MOST_CELLS", "comparison_pdf", "write_comparison_pdf"]

_TEMPLATE = Path(__file__).resolve().parent.parent / "templates" / "comparison.typ"
FORESTS = (
    ("paired", "Paired differences on the same examples; filled dots: beyond chance, corrected by Holm."),
    ("groups", "The same by group, each on its own examples; filled dots: beyond chance, corrected by Holm."),
)
"""Which deltas are drawn, and under which caption."""
MOST_CELLS = 20


def write_comparison_pdf(comparison: Comparison, path: Path) -> Path:
    """Write the document."""
    write_atomically(path, comparison_pdf(comparison))
    return path


def comparison_pdf(comparison: Comparison) -> bytes:
    """The document; the same comparison gives the same bytes. Its date is that of the newest run."""
    from raiaudit.reports.charts import to_svg
    from raiaudit.reports.charts.comparison import forest, forest_text, left_out

    gaps = gap_block(comparison)
    content: dict[str, Any] = {
        "title": f"Comparison: {comparison_title(comparison)}",
        "subtitle": f"{comparison.audited:,} audited examples, data sha256 {comparison.data_digest[:16]}…",
        "runs": run_block(comparison)._asdict(),
        "differences": [block._asdict() for block in difference_blocks(comparison)],
        "findings": [
            [name, [line for _, line in told]]
            for name, told in groupby(findings(comparison), key=itemgetter(0))
        ],
        "tables": [
            {"title": table.title, "note": table.note, "blocks": [block._asdict() for block in table.blocks]}
            for table in comparison_tables(comparison, most_cells=MOST_CELLS)
        ],
        "gaps": gaps and gaps._asdict(),
        "notes": list(reading_notes(comparison)),
        "charts": [],
    }
    printable = Printable([content, [run.name for run in comparison.runs]], lacking)
    with TemporaryDirectory() as name:
        folder = Path(name)
        for kind, caption in FORESTS:
            deltas = getattr(comparison, kind)
            if (chart := forest(comparison, deltas, clean=printable.text)) is not None:
                (folder / f"{kind}.svg").write_text(to_svg(chart), encoding="utf-8")
                alt = forest_text(comparison, deltas)  # no name that is not in the tables too
                caption += left_out(comparison, deltas)
                content["charts"].append({"path": f"{kind}.svg", "caption": caption, "alt": alt})
        (folder / "comparison.typ").write_bytes(_TEMPLATE.read_bytes())
        newest = max(run.started for run in comparison.runs)
        return compile_pdf(folder / "comparison.typ", dict(printable.everything(content)), timestamp(newest))
