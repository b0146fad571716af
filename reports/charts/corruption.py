"""Accuracy under corruption: a table whose cells are coloured by what is lost, one row a corruption."""

from __future__ import annotations

import altair as alt
import polars as pl

from raiaudit.reports.charts.style import WIDTH, AnyChart, inline, styled, tooltips
from raiaudit.reports.theme import INK, MUTED

__all__ = ["accuracy_against_severity"]

_SHADES = ("#8c2d04", "#d55e00", "#f5a76c", "#fde4d0", "#ffffff")
"""From no accuracy to full, so that what is dark is what is lost."""

_WHITE_INK_BELOW = 0.2  # where white has the better contrast
_ROW = 17
_FRAME = 62  # axis and legend of a chart without rows


def accuracy_against_severity(table: pl.DataFrame) -> AnyChart:
    """`table`: corruption, severity (1…5), accuracy, low, high; category and clean_accuracy where known.

    Corruptions keep their order; those of one category stand together, with its name beside them.
    """
    if "category" not in table.columns:
        table = table.with_columns(category=pl.lit(""))
    rows = table.with_columns(pl.col("corruption").str.replace_all("_", " "))
    order, first = _order(rows)
    names = alt.Axis(title=None, ticks=False, domain=False, labelLimit=200)
    y = alt.Y("corruption:N", scale=alt.Scale(domain=order, paddingInner=0.06), axis=names)
    severity = alt.Axis(title=_title(rows), orient="top", labelAngle=0, ticks=False, domain=False)
    x = alt.X("severity:O", axis=severity, scale=alt.Scale(paddingInner=0.03))
    base = alt.Chart(inline(rows)).encode(x=x, y=y)
    shade = alt.Scale(domain=[0, 0.25, 0.5, 0.75, 1], range=list(_SHADES))
    cells = base.mark_rect(stroke="#e6e9ec", strokeWidth=0.5).encode(
        color=alt.Color("accuracy:Q", scale=shade, legend=None),
        tooltip=tooltips("corruption:N", "severity:O", "accuracy:Q", "low:Q", "high:Q"),
    )
    ink = alt.condition(f"datum.accuracy < {_WHITE_INK_BELOW}", alt.value("white"), alt.value(INK))
    numbers = base.mark_text(fontSize=11).encode(text=alt.Text("accuracy:Q", format=".0%"), color=ink)
    kinds = alt.Chart(inline(first)).mark_text(align="left", dx=6, color=MUTED, fontStyle="italic")
    beside = kinds.encode(x=alt.value("width"), y=y, text="category:N")
    height = _FRAME + _ROW * len(order)
    return styled(alt.layer(cells, numbers, beside), width=WIDTH, height=height)


def _order(rows: pl.DataFrame) -> tuple[list[str], list[dict[str, str]]]:
    """Corruptions from top to bottom, a blank between categories; and the first of each category."""
    order: list[str] = []
    first: list[dict[str, str]] = []
    for (category,), members in rows.group_by("category", maintain_order=True):
        if order:
            order.append(" " * len(first))  # names of blanks must differ
        names = members["corruption"].unique(maintain_order=True).to_list()
        first.append({"category": str(category), "corruption": names[0]})
        order += names
    return order, first


def _title(rows: pl.DataFrame) -> str:
    clean = f"; clean {rows['clean_accuracy'][0]:.0%}" if "clean_accuracy" in rows.columns else ""
    return f"Accuracy at severity 1 (mild) to 5 (strong){clean}"
