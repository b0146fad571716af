"""Gaps of one metric to the reference, read against a tolerance: a dot and its interval a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import altair as alt

from raiaudit.reports.charts.style import AnyChart, inline, styled, tooltips
from raiaudit.reports.theme import FAINT, MUTED, SERIES

if TYPE_CHECKING:
    import polars as pl

__all__ = ["READINGS", "gap_forest"]

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


def _axis(title: str, percent: bool) -> alt.Axis:
    return alt.Axis(title=title, format="+.0%" if percent else "+.2f", tickCount=5, labelOverlap=True)


def _no_gap() -> alt.Chart:
    rule = alt.Chart(inline([{"at": 0.0}])).mark_rule(color=MUTED, strokeDash=[3, 3])
    return cast("alt.Chart", rule.encode(x=alt.X("at:Q")))
