"""A comparison for a terminal: what differs, what to read first, the tables."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from raiaudit.reports.comparison.differences import difference_blocks
from raiaudit.reports.comparison.findings import findings, reading_notes
from raiaudit.reports.comparison.tables import comparison_tables, gap_block, run_block
from raiaudit.reports.formats.blocks import Block
from raiaudit.reports.words.comparison_words import comparison_title

if TYPE_CHECKING:
    from rich.table import Table

    from raiaudit.audit.comparison.results import Comparison

__all__ = ["print_comparison"]

_UNBROKEN = ("Change", "p (Holm)", "Finding")
_SPACES = "\u00a0\u202f"


def print_comparison(comparison: Comparison) -> None:
    """Print all of it; text from outside is shown, never obeyed."""
    from rich.console import Console
    from rich.text import Text

    console = Console()

    def head(title: str) -> None:
        console.print(Text(f"\n{_safe(title)}", style="bold"))

    head(comparison_title(comparison))
    console.print(_table(run_block(comparison)))
    head("What differs besides the results")
    blocks = list(difference_blocks(comparison))
    for block in blocks:
        console.print(_table(block))
    if not blocks:
        console.print("nothing: same data, seed, code, model and spec")
    head("What to read first")
    for name, told in groupby(findings(comparison), key=itemgetter(0)):
        console.print(Text(_safe(name), style="bold"))
        for _, line in told:
            console.print(Text(f"- {_safe(line)}"))
    for table in comparison_tables(comparison):
        head(table.title)
        console.print(Text(table.note, style="dim"))
        for block in table.blocks:
            console.print(_table(block, roomy=True))
    if (gaps := gap_block(comparison)) is not None:
        head("Not compared")
        console.print(_table(gaps))
    for note in reading_notes(comparison):
        console.print(Text(_safe(note), style="dim"))


def _table(block: Block, *, roomy: bool = False) -> Table:
    """A cell's lesser lines behind its first; `roomy`: below it, and a line between the rows."""
    from rich.table import Table
    from rich.text import Text

    shown = _shown(block)
    title = Text(shown.title, style="bold") if shown.title else None
    padding = (0, 2, 1 if roomy else 0, 0)
    table = Table(box=None, padding=padding, header_style="dim", title=title, title_justify="left")
    for place, name in enumerate(shown.header):
        width = 26 if roomy and place == 0 else None
        table.add_column(Text(name), overflow="fold", no_wrap=name in _UNBROKEN, min_width=width)
    for row in shown.rows:
        cells = []
        for first, *rest in row:
            lesser = "".join(f"\n{line}" if roomy else f" ({line})" for line in rest)
            cells.append(Text(first).append(lesser, style="dim"))
        table.add_row(*cells)
    return table


def _shown(block: Block) -> Block:
    return Block(
        _safe(block.title),
        tuple(map(_safe, block.header)),
        tuple(tuple([_safe(line) for line in cell if line] or [""] for cell in row) for row in block.rows),
    )


def _safe(text: str) -> str:
    """Control characters by their number: a name must not move the cursor."""
    return "".join(c if c.isprintable() or c in _SPACES else f"[U+{ord(c):04X}]" for c in text)
