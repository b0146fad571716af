"""A comparison as one HTML file in the look of the report's page: no script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from raiaudit.reports.comparison.differences import difference_blocks
from raiaudit.reports.comparison.findings import findings, reading_notes
from raiaudit.reports.comparison.pdf import FORESTS, MOST_CELLS
from raiaudit.reports.comparison.tables import comparison_tables, gap_block, run_block
from raiaudit.reports.words.comparison_words import comparison_title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.comparison.results import Comparison
    from raiaudit.reports.formats.blocks import Block

__all__ = ["comparison_html"]

_SHEET = Path(__file__).resolve().parent.parent / "templates" / "report.css"
# Constants: nothing read from a run is ever put into them.
_OWN = """
main { max-width: 70rem }
small { display: block; color: var(--muted) }
svg.chart { max-width: 46rem }
.better { color: var(--pass) } .worse { color: var(--fail) }
"""
_POLICY = "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'"


def comparison_html(comparison: Comparison) -> str:
    """The document; the same comparison gives the same bytes."""
    title = escape(comparison_title(comparison))
    style = _SHEET.read_text(encoding="utf-8") + _OWN
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY.format(digest)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Comparison: {title}</title>\n<style>{style}</style>\n</head>\n<body>",
            '<p class="running"><span>Comparison of audits</span><span>raiaudit</span></p>\n<main>',
            f"<h1>{title}</h1>",
            f'<p class="muted">{comparison.audited:,} audited examples</p>',
            *_body(comparison),
            "</main>\n<footer>Evidence for the people who decide; not a certificate.</footer>",
            "</body>\n</html>\n",
        ]
    )


def _body(comparison: Comparison) -> Iterator[str]:
    yield from _table(run_block(comparison), "The runs")
    yield "<h2>What differs besides the results</h2>"
    blocks = list(difference_blocks(comparison))
    if not blocks:
        yield "<p>Nothing: same data, seed, code, model and spec.</p>"
    for block in blocks:
        yield f"<h3>{escape(block.title)}</h3>"
        yield from _table(block, f"Differences: {block.title}")
    yield "<h2>What to read first</h2>"
    for name, told in groupby(findings(comparison), key=itemgetter(0)):
        yield f"<h3>{escape(name)}</h3>\n<ul>"
        yield "".join(f"<li>{escape(line)}</li>" for _, line in told) + "</ul>"
    yield from _charts(comparison)
    for table in comparison_tables(comparison, most_cells=MOST_CELLS):
        yield f'<h2>{escape(table.title)}</h2>\n<p class="muted">{escape(table.note)}</p>'
        for block in table.blocks:
            yield from _table(block, table.title)
    if (gaps := gap_block(comparison)) is not None:
        yield "<h2>Not compared</h2>"
        yield from _table(gaps, "Not compared")
    yield "<h2>How to read this</h2>"
    for note in reading_notes(comparison):
        yield f'<p class="muted">{escape(note)}</p>'


def _charts(comparison: Comparison) -> Iterator[str]:
    from raiaudit.reports.charts import to_svg
    from raiaudit.reports.charts.comparison import forest, forest_text, left_out
    from raiaudit.reports.content.illustrated import Drawn
    from raiaudit.reports.html.inline import chart

    for kind, caption in FORESTS:
        deltas = getattr(comparison, kind)
        if (drawing := forest(comparison, deltas)) is not None:
            shown = caption + left_out(comparison, deltas)
            figure = Drawn("svg", to_svg(drawing).encode(), shown, forest_text(comparison, deltas))
            yield f"<figure>{chart(figure, kind)}<figcaption>{escape(shown)}</figcaption></figure>"


def _table(block: Block, caption: str) -> Iterator[str]:
    label = escape(caption, quote=True)
    yield f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table><thead><tr>'
    yield "".join(f'<th scope="col">{escape(name)}</th>' for name in block.header)
    yield "</tr></thead><tbody>"
    for first, *cells in block.rows:
        yield f'<tr><th scope="row">{_lines(first)}</th>'
        yield "".join(f"<td>{_lines(cell)}</td>" for cell in cells) + "</tr>"
    yield "</tbody></table></div>"


def _lines(cell: Sequence[str]) -> str:
    first, *rest = cell
    tone = "better" if "▲" in first else "worse" if "▼" in first else ""
    shown = f'<span class="{tone}">{escape(first)}</span>' if tone else escape(first)
    return shown + "".join(f"<small>{escape(line)}</small>" for line in rest if line)
