"""A comparison for a terminal: what differs, what to read first, the tables."""

from __future__ import annotations

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
from raiaudit.reports.studies import Block, terminal_table

if TYPE_CHECKING:
    from raiaudit.audit.comparison.results import Comparison

__all__ = ["print_comparison"]


def print_comparison(comparison: Comparison) -> None:
    """Print all of it; text from outside is shown, never obeyed."""
    from rich.console import Console
    from rich.text import Text

    console = Console()

    def head(title: str) -> None:
        console.print(Text(f"\n{_safe(title)}", style="bold"))

    head(comparison_title(comparison))
    console.print(terminal_table(_shown(run_block(comparison))))
    head("What differs besides the results")
    blocks = list(difference_blocks(comparison))
    for block in blocks:
        console.print(terminal_table(_shown(block)))
    if not blocks:
        console.print("nothing: same data, seed, code, model and spec")
    head("What to read first")
    for name, line in findings(comparison):
        console.print(Text(f"{_safe(name)}: ", style="bold").append(_safe(line), style="not bold"))
    for table in comparison_tables(comparison):
        head(table.title)
        console.print(Text(table.note, style="dim"))
        for block in table.blocks:
            console.print(terminal_table(_shown(block)))
    if (gaps := gap_block(comparison)) is not None:
        head("Not compared")
        console.print(terminal_table(_shown(gaps)))
    for note in reading_notes(comparison):
        console.print(Text(_safe(note), style="dim"))


def _shown(block: Block) -> Block:
    return Block(
        _safe(block.title),
        tuple(map(_safe, block.header)),
        tuple(tuple([_safe(line) for line in cell if line] or [""] for cell in row) for row in block.rows),
    )


def _safe(text: str) -> str:
    """Control characters by their number: a name must not move the cursor."""
    return "".join(c if c.isprintable() else f"[U+{ord(c):04X}]" for c in text)
