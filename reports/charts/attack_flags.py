"""The flags of a robustness evaluation: how often each was seen, with its interval and its tolerance."""

from __future__ import annotations

import altair as alt
import polars as pl

from raiaudit.reports.charts.style import AnyChart, inline, percent_axis, styled, tooltips
from raiaudit.reports.theme import MUTED, SERIES

__all__ = ["attack_flags"]


def attack_flags(table: pl.DataFrame) -> AnyChart:
    """`table`: flag, share in [0, 1] or null, low, high, tolerance, n, raised; a row a flag, in order.

    Raised flags are diamonds and say so in their names; the others are circles. A tick marks the tolerance
    that the interval has to clear.
    """
    shown = table.with_columns(
        line=pl.format(
            "{}{}",
            pl.col("flag").str.replace_all("_", " "),
            pl.when("raised").then(pl.lit(" (raised)")).otherwise(pl.lit("")),
        ),
        state=pl.when("raised").then(pl.lit("raised")).otherwise(pl.lit("not raised")),
    )
    lines, states = shown["line"].to_list(), ["raised", "not raised"]
    base = alt.Chart(inline(shown)).encode(
        y=alt.Y(
            "line:N",
            sort=lines,
            axis=alt.Axis(title=None, labelLimit=230, labelPadding=10, ticks=False, domain=False, grid=True),
        )
    )
    asked = base.transform_filter("datum.share !== null")
    unit = alt.Scale(domain=[0, 1])
    x = alt.X("share:Q", scale=unit, axis=percent_axis("Share of the examples asked", tickCount=5))
    colour = alt.Color("state:N", scale=alt.Scale(domain=states, range=[SERIES[1], SERIES[0]]), legend=None)
    whisker = asked.mark_rule(strokeWidth=1.6).encode(
        x=alt.X("low:Q", scale=unit), x2=alt.X2("high:Q"), color=colour
    )
    tick = asked.mark_tick(color=MUTED, thickness=1.5, size=12).encode(x=alt.X("tolerance:Q", scale=unit))
    dot = asked.mark_point(filled=True, size=52, opacity=1).encode(
        x=x,
        color=colour,
        shape=alt.Shape("state:N", scale=alt.Scale(domain=states, range=["diamond", "circle"]), legend=None),
        tooltip=tooltips("flag:N", "share:Q", "low:Q", "high:Q", "tolerance:Q", "n:Q"),
    )
    layers: list[alt.Chart] = [whisker, tick, dot]
    if shown["share"].null_count():
        gone = base.transform_filter("datum.share === null").mark_text(align="left", color=MUTED)
        layers.append(gone.encode(x=alt.value(8), text=alt.TextValue("not asked")))
    return styled(alt.layer(*layers), height=60 + 18 * len(lines))
