"""Signed gaps between groups as forest plots: a dot and its interval a gap, the rule at no gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import altair as alt

from raiaudit.reports.charts.style import AnyChart, inline, series, styled, tooltips
from raiaudit.reports.theme import FAINT, MUTED, SERIES

if TYPE_CHECKING:
    import polars as pl

__all__ = ["READINGS", "gap_forest", "gaps_by_metric"]

READINGS = ("outside", "undecided", "inside")
_COLOURS = (SERIES[1], FAINT, SERIES[0])
_SHAPES = ("diamond", "square", "circle")


def gap_forest(table: pl.DataFrame, *, title: str, tolerance: float | None, percent: bool = True) -> AnyChart:
    """One metric. `table`: group, value, low, high and, with a `tolerance`, reading (one of `READINGS`).

    The shaded band is the tolerance; rows stay in their order.
    """
    axis = alt.Axis(title=None, labelLimit=220, ticks=False, domain=False, grid=True)
    base = alt.Chart(inline(table)).encode(y=alt.Y("group:N", sort=table["group"].to_list(), axis=axis))
    x = alt.X("value:Q", axis=_axis(title, percent))
    layers: list[alt.Chart] = []
    colour: alt.Color | alt.ColorValue = alt.ColorValue(SERIES[0])
    look: dict[str, alt.Color | alt.ColorValue | alt.Shape] = {"color": colour}
    if tolerance is not None:
        band = alt.Chart(inline([{"from": -tolerance, "to": tolerance}]))
        layers.append(band.mark_rect(color=SERIES[0], opacity=0.09).encode(x=alt.X("from:Q"), x2="to:Q"))
        names = [reading for reading in READINGS if reading in table["reading"]]
        legend = alt.Legend(title=None, symbolOpacity=1)
        colours = alt.Scale(domain=names, range=[_COLOURS[READINGS.index(name)] for name in names])
        shapes = alt.Scale(domain=names, range=[_SHAPES[READINGS.index(name)] for name in names])
        colour = alt.Color("reading:N", scale=colours, legend=None)
        look = {
            "color": alt.Color("reading:N", scale=colours, legend=legend),
            "shape": alt.Shape("reading:N", scale=shapes, legend=legend),
        }
    layers += [
        _no_gap(),
        base.mark_rule(strokeWidth=1.6).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), color=colour),
        base.mark_point(filled=True, size=52, opacity=1).encode(
            x=x, tooltip=tooltips("group:N", "value:Q", "low:Q", "high:Q"), **look
        ),
    ]
    whole = alt.layer(*layers).resolve_legend(color="independent", shape="independent")
    return styled(whole, height=90 + 22 * table.height)


def gaps_by_metric(table: pl.DataFrame) -> AnyChart:
    """One attribute. `table`: metric, group, value in [-1, 1], low, high; a line a metric, a mark a group."""
    metrics = table["metric"].unique(maintain_order=True).to_list()
    groups = table["group"].unique(maintain_order=True).to_list()
    named, plain = series("group", groups, columns=2), series("group", groups, legend=False)
    axis = alt.Axis(title=None, labelLimit=150, ticks=False, domain=False, grid=True)
    base = alt.Chart(inline(table)).encode(
        y=alt.Y("metric:N", sort=metrics, axis=axis), yOffset=alt.YOffset("group:N", sort=groups)
    )
    whole = alt.layer(
        _no_gap(),
        base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), color=plain["color"]),
        base.mark_point(filled=True, size=40, opacity=1).encode(
            x=alt.X("value:Q", axis=_axis("Gap to the reference", percent=True)),
            color=named["color"],
            shape=named["shape"],
            tooltip=tooltips("metric:N", "group:N", "value:Q", "low:Q", "high:Q"),
        ),
    ).resolve_legend(color="independent", shape="independent")
    legend = 20 * ((len(groups) + 1) // 2) if len(groups) > 1 else 0
    return styled(whole, height=60 + legend + len(metrics) * max(26, 13 * len(groups) + 10))


def _axis(title: str, percent: bool) -> alt.Axis:
    return alt.Axis(title=title, format="+.0%" if percent else "+.2f", tickCount=5, labelOverlap=True)


def _no_gap() -> alt.Chart:
    rule = alt.Chart(inline([{"at": 0.0}])).mark_rule(color=MUTED, strokeDash=[3, 3])
    return cast("alt.Chart", rule.encode(x=alt.X("at:Q")))
