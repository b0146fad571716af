"""Metrics by group and gaps to the reference: a dot and its interval a group; and the numbers as a table."""

from __future__ import annotations

import altair as alt
import polars as pl

from raiaudit.reports.charts.style import AnyChart, inline, percent_axis, styled, tooltips
from raiaudit.reports.theme import FAINT, MUTED, SERIES

__all__ = ["group_gaps", "group_intervals", "group_table"]


def group_intervals(table: pl.DataFrame, *, title: str, percent: bool = True) -> AnyChart:
    """`table`: attribute, group, value (in [0, 1] if `percent`), low, high, n of one metric, a row a group.

    Groups without a value keep their line and say so.
    """
    scale = alt.Scale(domain=[0, 1]) if percent else alt.Scale(zero=False)
    shown = table.with_columns(pl.format("{} = {} (n = {})", "attribute", "group", "n").alias("line"))
    order = shown["line"].to_list()
    base = alt.Chart(inline(shown)).encode(
        y=alt.Y(
            "line:N",
            sort=order,
            axis=alt.Axis(title=None, labelLimit=190, ticks=False, domain=False, grid=True),
        )
    )
    x = alt.X(
        "value:Q",
        scale=scale,
        axis=percent_axis(title, tickCount=5) if percent else alt.Axis(title=title, tickCount=5),
    )
    whisker = base.mark_rule(color=SERIES[0], strokeWidth=1.6).encode(
        x=alt.X("low:Q", scale=x["scale"]), x2=alt.X2("high:Q")
    )
    dot = base.mark_point(filled=True, size=48, opacity=1, color=SERIES[0]).encode(
        x=x, tooltip=tooltips("line:N", "value:Q", "low:Q", "high:Q")
    )
    layers: list[alt.Chart] = [whisker, dot]
    if shown["value"].null_count():
        gone = base.transform_filter("datum.value === null").mark_text(align="left", color=MUTED)
        layers.append(gone.encode(x=alt.value(8), text=alt.TextValue("not defined")))
    return styled(alt.layer(*layers), height=60 + 22 * len(order))


def group_gaps(table: pl.DataFrame, *, title: str, percent: bool = True) -> AnyChart:
    """`table`: attribute, group, reference, value, low, high, n of one metric's gaps; dashed: no gap.

    A dot is full where its interval lies on one side of it, else hollow.
    """
    shown = table.with_columns(
        line=pl.format("{}: {}", "attribute", "group"),
        apart=(pl.col("low") > 0) | (pl.col("high") < 0),
    )
    base = alt.Chart(inline(shown)).encode(
        y=alt.Y(
            "line:N",
            sort=shown["line"].to_list(),
            axis=alt.Axis(title=None, labelLimit=190, ticks=False, domain=False, grid=True),
        )
    )
    axis = alt.Axis(title=title, tickCount=5, labelOverlap=True, format="+.0%" if percent else "+.2f")
    zero = alt.Chart(inline([{"at": 0.0}])).mark_rule(color=FAINT, strokeDash=[3, 3]).encode(x="at:Q")
    whisker = base.mark_rule(color=SERIES[0], strokeWidth=1.6).encode(
        x=alt.X("low:Q", axis=axis), x2=alt.X2("high:Q")
    )
    dot = base.mark_point(filled=True, size=52, opacity=1, stroke=SERIES[0], strokeWidth=1.6).encode(
        x=alt.X("value:Q", axis=axis),
        fill=alt.condition("datum.apart", alt.value(SERIES[0]), alt.value("white")),
        tooltip=tooltips("line:N", "value:Q", "low:Q", "high:Q", "n:Q"),
    )
    return styled(alt.layer(zero, whisker, dot), height=60 + 22 * shown.height)


def group_table(table: pl.DataFrame) -> pl.DataFrame:
    """One row a group, one column a metric, `n` the largest denominator."""
    sizes = table.group_by("attribute", "group", maintain_order=True).agg(pl.col("n").max())
    wide = table.pivot("metric", index=["attribute", "group"], values="value", aggregate_function="first")
    return sizes.join(wide, on=["attribute", "group"], how="left", maintain_order="left")
