"""Counterfactual tests: which way and how often decisions turn with the group."""

from __future__ import annotations

import altair as alt
import polars as pl

from raiaudit.reports.charts.style import AnyChart, inline, styled, tooltips
from raiaudit.reports.theme import FAINT, SERIES

__all__ = ["counterfactual_effects"]

_SIDES = ("beyond chance", "may be chance")


def counterfactual_effects(table: pl.DataFrame) -> AnyChart:
    """`table`: attribute, from, to, n, effect, low, high, p_adjusted of one source, a row a pair of levels.

    A dot and its interval a row, told apart by colour and shape where the corrected p-value is below
    0.05; the rule at zero is as many decisions turned one way as the other.
    """
    shown = table.with_columns(
        pl.format("{}: {} → {}", "attribute", "from", "to").alias("line"),
        pl.when(pl.col("p_adjusted") < 0.05)
        .then(pl.lit(_SIDES[0]))
        .otherwise(pl.lit(_SIDES[1]))
        .alias("sure"),
    )
    order = shown["line"].to_list()
    names = list(_SIDES)
    colours = alt.Scale(domain=names, range=[SERIES[0], FAINT])
    shapes = alt.Scale(domain=names, range=["circle", "square"])
    shown_as = alt.Legend(title=None, symbolOpacity=1)
    axis = alt.Axis(title=None, labelLimit=260, ticks=False, domain=False, grid=True)
    base = alt.Chart(inline(shown)).encode(y=alt.Y("line:N", sort=order, axis=axis))
    title = ["Net share of decisions turned", "to the positive class (left: from it)"]
    x = alt.X("effect:Q", axis=alt.Axis(title=title, format="+.0%", tickCount=5, labelOverlap=True))
    plain = alt.Color("sure:N", scale=colours, legend=None)
    whole = alt.layer(
        alt.Chart(inline([{"at": 0.0}])).mark_rule(color=FAINT, strokeDash=[3, 3]).encode(x=alt.X("at:Q")),
        base.mark_rule(strokeWidth=1.6).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), color=plain),
        base.mark_point(filled=True, size=48, opacity=1).encode(
            x=x,
            color=alt.Color("sure:N", scale=colours, legend=shown_as),
            shape=alt.Shape("sure:N", scale=shapes, legend=shown_as),
            tooltip=tooltips("line:N", "n:Q", "effect:Q", "low:Q", "high:Q", "flip_rate:Q", "p_adjusted:Q"),
        ),
    ).resolve_legend(color="independent", shape="independent")
    return styled(whole, width=390, height=100 + 20 * len(order))
