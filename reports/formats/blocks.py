"""Small tables whose cells have several lines, for a terminal and for Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Block", "escaped", "markdown_table", "terminal_table"]


class Block(NamedTuple):
    """A table: a title ("" for none), a header, and rows whose cells are lists of lines."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[list[str], ...], ...]


def terminal_table(block: Block) -> Table:
    """For a terminal."""
    from rich.table import Table
    from rich.text import Text

    title = Text(block.title, style="bold") if block.title else None
    table = Table(box=None, padding=(0, 2, 1, 0), header_style="bold", title=title, title_justify="left")
    for name in block.header:
        table.add_column(Text(name))
    for (named, *told), *cells in block.rows:
        first = Text(named)
        for line in filter(None, told):
            first.append(f"\n{line}", style="dim")
        table.add_row(first, *(Text("\n".join(lines)) for lines in cells))
    return table


def markdown_table(block: Block) -> list[str]:
    """The same block as lines of Markdown."""
    lines = [f"### {escaped(block.title)}", ""] if block.title else []
    lines.append("| " + " | ".join(map(escaped, block.header)) + " |")
    lines.append("|---|" + "---|" * (len(block.header) - 1))
    for (named, *told), *cells in block.rows:
        title = " ".join([named, *(f"({line})" for line in told if line)])
        texts = [escaped(title), *("<br>".join(map(escaped, lines_)) for lines_ in cells)]
        lines.append("| " + " | ".join(texts) + " |")
    return [*lines, ""]


def escaped(text: str) -> str:
    """Text from outside in a Markdown table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
