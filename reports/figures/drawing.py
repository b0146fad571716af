"""What a figure is, and the words that stand for it where it cannot be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.results import Results
    from raiaudit.reports.charts.style import AnyChart

__all__ = ["PICTURES", "Drawing", "Figure", "Words", "chart_figure", "columns", "example_title", "points_of"]

_TOLD = 8  # points of a curve that are put into words
PICTURES = 6


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, or a picture as PNG, with its caption. `alt` says in words what it shows.

    `broad`: a picture of many parts, which needs the whole width of a page; `row`: pictures of one row are
    seen together, apart from others.
    """

    caption: str
    alt: str
    drawing: AnyChart | bytes
    broad: bool = False
    row: str = ""

    @property
    def kind(self) -> str:
        """Of `content`: "svg" or "png"."""
        return "png" if isinstance(self.drawing, bytes) else "svg"

    @property
    def content(self) -> bytes:
        """The drawing as a file for a document."""
        if isinstance(self.drawing, bytes):
            return self.drawing
        from raiaudit.reports.charts import to_svg

        return to_svg(self.drawing).encode()


@dataclass(frozen=True, slots=True)
class Words:
    """An explained text: its words with weights in [-1, 1] (share of the largest) and those in words."""

    caption: str
    words: tuple[tuple[str, float, str], ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """How a table of evidence becomes figures; `title` names what is missing without its `columns`."""

    table: str
    columns: frozenset[str]
    title: str
    draw: Callable[[pl.DataFrame, Results], Iterator[Figure]]
    optional: bool = False
    """Whether a run may lack the table without a word: not every attack fills it."""


def chart_figure(caption: str, chart: AnyChart, points: str) -> Figure:
    """A chart whose `points` say in words what it shows."""
    return Figure(caption, f"Chart. {caption} {points}".strip(), chart)


def points_of(table: pl.DataFrame, by: str, x: str, y: str) -> str:
    """The points of a curve in words, at most eight a series, its ends among them."""
    parts = []
    for (name,), rows in table.sort(by, x).group_by(by, maintain_order=True):
        points = rows.select(x, y).drop_nulls()
        if (last := points.height - 1) >= _TOLD:
            points = points[[round(i * last / (_TOLD - 1)) for i in range(_TOLD)]]
        parts.append(f"{name}: {', '.join(f'{a:.3g}: {b:.3g}' for a, b in points.iter_rows())}")
    return "; ".join(parts)


def example_title(row: Mapping[str, Any]) -> str:
    """Which example, its label and what was predicted."""
    label, predicted = str(row["label"]), str(row["predicted"])
    # Short names stay on one line with their arrow; long ones may break.
    space = "\u00a0" if len(label) + len(predicted) < 16 else " "
    return f"{row['example_id']}: {label}{space}→{space}{predicted}"


def columns(text: str) -> frozenset[str]:
    """The columns a table must have, as words."""
    return frozenset(text.split())
