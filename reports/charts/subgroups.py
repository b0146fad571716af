"""Subgroups against everyone else: a dot and its interval a group, what it explains indented below."""

from __future__ import annotations

import altair as alt
import polars as pl

from raiaudit.reports.charts.style import AnyChart, inline, series, styled, tooltips
from raiaudit.reports.theme import FAINT, INK

__all__ = ["subgroup_gaps"]

_STATUS = ("confirmed", "suspected", "explained")
_ROW = 36
_INDENT = 14


def subgroup_gaps(table: pl.DataFrame, *, title: str) -> AnyChart:
    """`table`: subgroup, gap in [-1, 1], gap_low, gap_high, n, status (confirmed, suspected, explained).

    Rows in the order given; names stand above their intervals, for they are long.
    """
    shown = table.with_row_index("row").with_columns(
        name=pl.format("{} (n = {})", "subgroup", "n"),
        indent=pl.when(pl.col("status") == "explained").then(_INDENT).otherwise(0),
    )
    look = series("status", _STATUS)
    known = [status for status in _STATUS if status in shown["status"]]
    look |= {key: look[key].legend(title=None, symbolOpacity=1, values=known) for key in ("color", "shape")}
    base = alt.Chart(inline(shown)).encode(y=alt.Y("row:O", axis=None))
    x = alt.X("gap:Q", axis=alt.Axis(title=title, format="+.0%", tickCount=5, labelOverlap=True))
    plain = alt.Color("status:N", scale=look["color"]["scale"], legend=None)
    zero = alt.Chart(inline([{"at": 0.0}])).mark_rule(color=FAINT, strokeDash=[3, 3]).encode(x=alt.X("at:Q"))
    names = [
        base.mark_text(align="left", dy=-10, dx=indent, **halo)
        .transform_filter(alt.datum.indent == indent)
        .encode(x=alt.value(0), text=alt.Text("name:N"))
        for indent in sorted(shown["indent"].unique())
        for halo in ({"stroke": "white", "strokeWidth": 4}, {"color": INK})
    ]
    whiskers = base.mark_rule(strokeWidth=1.6, yOffset=5)
    dots = base.mark_point(filled=True, size=52, opacity=1, yOffset=5)
    whole = alt.layer(
        zero,
        whiskers.encode(x=alt.X("gap_low:Q"), x2=alt.X2("gap_high:Q"), color=plain),
        dots.encode(
            x=x,
            color=look["color"],
            shape=look["shape"],
            tooltip=tooltips("subgroup:N", "status:N", "gap:Q", "gap_low:Q", "gap_high:Q", "n:Q"),
        ),
        *names,
    ).resolve_legend(color="independent", shape="independent")
    return styled(whole, height=80 + _ROW * shown.height)
