"""A comparison as one HTML file: no script, nothing loaded from elsewhere, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from raiaudit.reports.comparison import (
    comparison_tables,
    comparison_title,
    difference_blocks,
    findings,
    gap_block,
    reading_notes,
    run_block,
)
from raiaudit.reports.comparison_pdf import FORESTS, MOST_CELLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.comparison.results import Comparison
    from raiaudit.reports.studies import Block

__all__ = ["comparison_html"]

# A constant: nothing read from a run is ever put into it.
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --muted: #57606a; --line: #d0d7de;
  --up: #17663a; --down: #a1211a }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --paper: #14171b; --muted: #a5afba;
  --line: #3a4149; --up: #6fce98; --down: #ff9d95 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem } h3 { font-size: 1rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere }
thead th, .note, small { color: var(--muted); font-weight: 400 }
tbody th { font-weight: 500 } small { display: block }
.up { color: var(--up) } .down { color: var(--down) }
figure { margin: 1.5rem 0; overflow-x: auto }
figure div { background: #fff; padding: .5rem; width: max-content }
"""


def comparison_html(comparison: Comparison) -> str:
    """The document; the same comparison gives the same bytes."""
    title = escape(comparison_title(comparison))
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Comparison: {title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>",
            f"<h1>{title}</h1>",
            f'<p class="note">{comparison.audited:,} audited examples</p>',
            *_body(comparison),
            "</main>\n</body>\n</html>\n",
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
        yield f'<h2>{escape(table.title)}</h2>\n<p class="note">{escape(table.note)}</p>'
        for block in table.blocks:
            yield from _table(block, table.title)
    if (gaps := gap_block(comparison)) is not None:
        yield "<h2>Not compared</h2>"
        yield from _table(gaps, "Not compared")
    yield "<h2>How to read this</h2>"
    for note in reading_notes(comparison):
        yield f'<p class="note">{escape(note)}</p>'


def _charts(comparison: Comparison) -> Iterator[str]:
    from raiaudit.reports.charts import to_svg
    from raiaudit.reports.charts.comparison import forest, forest_text, left_out

    for kind, caption in FORESTS:
        deltas = getattr(comparison, kind)
        if (chart := forest(comparison, deltas)) is not None:
            alt = escape(forest_text(comparison, deltas), quote=True)
            yield f'<figure><div role="img" aria-label="{alt}">{to_svg(chart)}</div>'
            shown = escape(caption + left_out(comparison, deltas))
            yield f'<figcaption class="note">{shown}</figcaption></figure>'


def _table(block: Block, caption: str) -> Iterator[str]:
    label = escape(caption, quote=True)
    yield f'<div class="wide" role="region" tabindex="0" aria-label="{label}"><table><thead><tr>'
    yield "".join(f'<th scope="col">{escape(name)}</th>' for name in block.header)
    yield "</tr></thead><tbody>"
    for first, *cells in block.rows:
        yield f'<tr><th scope="row">{_lines(first)}</th>'
        yield "".join(f"<td>{_lines(cell)}</td>" for cell in cells) + "</tr>"
    yield "</tbody></table></div>"


def _lines(cell: Sequence[str]) -> str:
    first, *rest = cell
    tone = "up" if "▲" in first else "down" if "▼" in first else ""
    shown = f'<span class="{tone}">{escape(first)}</span>' if tone else escape(first)
    return shown + "".join(f"<small>{escape(line)}</small>" for line in rest if line)
