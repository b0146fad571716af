"""Counterfactual tests: how decisions turn with the group, and the pairs to look at first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import streamlit as st

from raiaudit.dashboard.fairness.saying import UNDEFINED, download, p_text, share
from raiaudit.dashboard.fairness.source import COUNTERFACTUAL
from raiaudit.dashboard.figures import draw_chart
from raiaudit.dashboard.wording import plain
from raiaudit.reports.figures import figures
from raiaudit.reports.figures.group_sheets import ASKED_OF

if TYPE_CHECKING:
    from raiaudit.dashboard.fairness.source import Source

__all__ = ["show"]

_ROWS = 100


def show(source: Source) -> None:
    """Draw the section."""
    flips = source.table(COUNTERFACTUAL, "flips")
    if flips is None:
        source.say_missing(COUNTERFACTUAL)
        return
    drawn, left_out = figures(COUNTERFACTUAL, {(COUNTERFACTUAL, "flips"): flips}, source.results)
    for figure in drawn:
        if not isinstance(figure.drawing, bytes):
            draw_chart(figure.drawing, figure.alt)
        st.caption(plain(figure.caption))
    for line in left_out:
        st.caption(plain(line))
    _effects(flips)
    _pairs(source)


def _effects(flips: pl.DataFrame) -> None:
    st.subheader("Every pair of levels", anchor=False)
    order = pl.col("effect").abs()
    shown = flips.sort("source", order, descending=[False, True], nulls_last=True).head(_ROWS)
    st.dataframe(
        [
            {
                "Asked of": ASKED_OF.get(row["source"], row["source"]),
                "Change": f"{row['attribute']}: {row['from']} → {row['to']}",
                "Pairs": row["n"],
                "Turned": row["flips"],
                "Turned, share": _percent(row["flip_rate"]),
                "Net to positive": _points(row["effect"]),
                "Interval": _span(row["low"], row["high"]),
                "p": p_text(row["p_adjusted"]),
            }
            for row in shown.iter_rows(named=True)
        ],
        hide_index=True,
        width="stretch",
        alt="Each change of level: how many decisions turned, which way, and how sure that is",
    )
    more = f" The {_ROWS} with the largest effects of {flips.height:,}." if flips.height > _ROWS else ""
    st.caption(
        "Net to positive: the share turned to the positive class less the share turned from it, in "
        f"points. p is corrected for all pairs of levels (Holm); {UNDEFINED}: too few pairs, or no "
        f"positive class.{more}"
    )
    download(flips, "flips", key="csv-flips", label="All pairs of levels as CSV")


def _pairs(source: Source) -> None:
    st.subheader("Look at these first", anchor=False)
    pairs = source.table(COUNTERFACTUAL, "pairs")
    if pairs is None:
        st.markdown("No pair of answers differs, or the spec lists none (`shown`).")
        return
    text = "from_text" in pairs.columns
    st.dataframe(
        [
            {
                "Change": f"{row['attribute']}: {row['from']} → {row['to']}",
                "Example": row["from_text"] if text else row["from_id"],
                "Counterpart": row["to_text"] if text else row["to_id"],
                "Decision": f"{row['from_class']} → {row['to_class']}",
                "Score moved": None if row["change"] is None else round(row["change"], 3),
            }
            for row in pairs.head(_ROWS).iter_rows(named=True)
        ],
        hide_index=True,
        width="stretch",
        alt="Pairs of inputs that differ in the group alone and got different decisions",
    )
    st.caption("Pairs whose decision turned, those whose score moved most first.")


def _percent(value: float | None) -> str:
    return UNDEFINED if value is None else share(value, 1)


def _points(value: float | None) -> str:
    return UNDEFINED if value is None else f"{100 * value:+.1f}"


def _span(low: Any, high: Any) -> str:
    return "" if low is None or high is None else f"[{100 * low:+.1f}, {100 * high:+.1f}]"
