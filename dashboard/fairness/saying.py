"""Numbers of the page in words, and tables to take away."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.reports.formats.group_tables import harmless
from raiaudit.reports.words.wording import decimal, in_percent, metric_title, percent

if TYPE_CHECKING:
    import polars as pl

__all__ = ["UNDEFINED", "as_csv", "download", "gap_text", "p_text", "share", "span", "title", "worded"]

UNDEFINED = "—"


def title(metric: str, slice_: str = "") -> str:
    """`selection_rate_gap` → "Selection rate", with the threat or attack it is of, if any."""
    return metric_title(metric.removesuffix("_gap")) + (f" ({slice_})" if slice_ else "")


def worded(metric: str, value: float | None) -> str:
    """A value of a metric; undefined is a dash."""
    if value is None:
        return UNDEFINED
    return f"{percent(value)}\u00a0%" if in_percent(metric) else _thousandths(value)


def span(metric: str, low: float | None, high: float | None) -> str:
    """An interval in the unit of its metric; empty where there is none."""
    if low is None or high is None:
        return ""
    ends = [percent(end) if in_percent(metric) else _thousandths(end) for end in (low, high)]
    return f"[{ends[0]},\u00a0{ends[1]}]"


def _thousandths(value: float) -> str:
    """The decimals a table can hold side by side."""
    return f"{value:.3f}" if abs(value) < 1000 else decimal(value)


def gap_text(metric: str, value: float | None) -> str:
    """With its sign, in percentage points where the metric is a share."""
    if value is None:
        return UNDEFINED
    return f"{100 * value:+.1f}\u00a0points" if in_percent(metric) else f"{value:+.3f}"


def share(part: float, whole: float) -> str:
    """`part` of `whole` in percent; a dash of nobody."""
    return f"{percent(part / whole)}\u00a0%" if whole else UNDEFINED


def p_text(p: float | None) -> str:
    """A p-value; very small ones as a bound."""
    if p is None:
        return UNDEFINED
    return "<\u00a00.0001" if p < 1e-4 else f"{p:.4f}"


def download(table: pl.DataFrame, name: str, *, key: str, label: str = "CSV") -> None:
    """A button that gives the whole table as CSV, its texts harmless in a spreadsheet."""
    st.download_button(
        label,
        lambda: as_csv(table),
        file_name=f"{name}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=key,
    )


def as_csv(table: pl.DataFrame) -> str:
    """The whole table; no text is a formula to a spreadsheet."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write([harmless(column) for column in table.columns])
    for row in table.iter_rows():
        write([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return harmless(value) if isinstance(value, str) else value
