"""TCAV scores (arXiv:1711.11279): a dot and its interval a row, significant ones filled."""

from __future__ import annotations

from typing import Literal

import altair as alt
import polars as pl

from raiaudit.reports.charts.style import AnyChart, inline, styled, tooltips
from raiaudit.reports.theme import FAINT, SERIES

__all__ = ["SIGNIFICANCE", "concept_scores"]

SIGNIFICANCE = ("significant", "not significant")
_ROW = 22


def concept_scores(table: pl.DataFrame, *, rows: Literal["class", "concept"]) -> AnyChart:
    """`table`: class, concept, value, low, high, verdict (of `SIGNIFICANCE`; null where there is no score).

    A row for each of `rows`, in the order given; what has no score keeps its row, empty.
    """
    order = table[rows].unique(maintain_order=True).to_list()
    colour = alt.Scale(domain=list(SIGNIFICANCE), range=[SERIES[0], FAINT])
    legend = alt.Legend(title=None, symbolOpacity=1)
    axis = alt.Axis(title=None, labelLimit=170, ticks=False, domain=False)
    base = alt.Chart(inline(table)).encode(y=alt.Y(f"{rows}:N", sort=order, axis=axis))
    title = "Share of the class's examples that gain along the concept"
    x = alt.X(
        "value:Q",
        scale=alt.Scale(domain=[0, 1], padding=9, nice=False),
        axis=alt.Axis(title=title, format=".0%", tickCount=5),
    )
    known = base.transform_filter("isValid(datum.value)")
    whole = alt.layer(
        alt.Chart(inline([{"at": 0.5}])).mark_rule(color=FAINT, strokeDash=[3, 3]).encode(x=alt.X("at:Q")),
        # The rows of what has no score.
        base.mark_point(opacity=0).encode(x=alt.datum(0.5)),
        known.mark_rule(strokeWidth=1.6).encode(
            x=alt.X("low:Q"), x2=alt.X2("high:Q"), color=alt.Color("verdict:N", scale=colour, legend=None)
        ),
        known.mark_point(filled=True, size=60, opacity=1).encode(
            x=x,
            color=alt.Color("verdict:N", scale=colour, legend=legend),
            shape=alt.Shape(
                "verdict:N",
                scale=alt.Scale(domain=list(SIGNIFICANCE), range=["circle", "cross"]),
                legend=legend,
            ),
            tooltip=tooltips("class:N", "concept:N", "value:Q", "low:Q", "high:Q", "p_value:Q"),
        ),
    ).resolve_legend(color="independent", shape="independent")
    return styled(whole, height=90 + _ROW * len(order))
