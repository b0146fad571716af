"""A table of evidence that is read as a table: cells already in words."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Sheet"]


@dataclass(frozen=True, slots=True)
class Sheet:
    """`columns` are (title, share of the width, numbers or not); every row has a text for each."""

    caption: str
    columns: tuple[tuple[str, float, bool], ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def records(self) -> list[dict[str, str]]:
        """Rows by title, for a page."""
        titles = [title for title, _, _ in self.columns]
        return [dict(zip(titles, row, strict=True)) for row in self.rows]
