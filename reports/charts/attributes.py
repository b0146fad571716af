"""Attribute inference: what the model adds to a guess of a column, for members and for others."""

from __future__ import annotations

import altair as alt
import polars as pl

from raiaudit.reports.charts.style import AnyChart, inline, series, styled, tooltips
from raiaudit.reports.theme import FAINT

__all__ = ["attribute_gain"]

_SIDES = ["members", "non-members"]


def attribute_gain(table: pl.DataFrame) -> AnyChart:
    """`table`: column, of (members, non-members; others are left out), value, low, high, n.

    A line a column with both sides; the rule at zero is what imputation reaches without the model.
    """
    shown = table.filter(pl.col("of").is_in(_SIDES))
    order = shown["column"].unique(maintain_order=True).to_list()
    look = series("of", _SIDES)
    y = alt.Y("column:N", sort=order, axis=alt.Axis(title=None, labelLimit=190, ticks=False, domain=False))
    base = alt.Chart(inline(shown)).encode(y=y, yOffset=alt.YOffset("of:N", sort=_SIDES))
    title = "Share guessed right with the model less without it, with interval"
    x = alt.X("value:Q", axis=alt.Axis(title=title, format="+.1%", tickCount=4, labelOverlap=True))
    plain = alt.Color("of:N", scale=look["color"]["scale"], legend=None)
    whole = alt.layer(
        alt.Chart(inline([{"at": 0.0}])).mark_rule(color=FAINT, strokeDash=[3, 3]).encode(x=alt.X("at:Q")),
        base.mark_rule(strokeWidth=1.6).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), color=plain),
        base.mark_point(filled=True, size=48, opacity=1).encode(
            x=x,
            color=look["color"],
            shape=look["shape"],
            tooltip=tooltips("column:N", "of:N", "value:Q", "low:Q", "high:Q", "n:Q"),
        ),
    ).resolve_legend(color="independent", shape="independent")
    return styled(whole, height=90 + 40 * len(order))
