"""A number of the same audit over time: a line a model, each point a run with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from raiaudit.reports.charts.style import inline, percent_axis, series, styled, tooltips

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.reports.charts.style import AnyChart

__all__ = ["metric_over_time"]


def metric_over_time(table: pl.DataFrame, *, percent: bool) -> AnyChart:
    """`table`: model, started (ISO 8601), run, value; low and high where the number has an interval.

    `percent`: the number is a fraction that people read in percent. What it is stands above the chart.
    """
    names = sorted(table["model"].unique().to_list())
    plain, named = series("model", names, legend=False), series("model", names)
    axis = percent_axis("") if percent else alt.Axis(title="")
    scale = alt.Scale(zero=False, nice=True)
    y = alt.Y("value:Q", axis=axis, scale=scale)
    base = alt.Chart(inline(table)).encode(
        x=alt.X("started:T", axis=alt.Axis(title="Run started", tickCount=5, labelOverlap=True))
    )
    rule = base.transform_filter("datum.low !== null").mark_rule(strokeWidth=1.4, opacity=0.7)
    dots = base.mark_point(filled=True, size=44, opacity=1)
    chart: AnyChart = alt.layer(
        rule.encode(y=alt.Y("low:Q", axis=axis, scale=scale), y2="high:Q", color=plain["color"]),
        base.mark_line(opacity=0.6).encode(y=y, color=plain["color"], strokeDash=plain["strokeDash"]),
        dots.encode(
            y=y,
            color=named["color"],
            shape=named["shape"],
            tooltip=tooltips("model:N", "run:N", "started:T", "value:Q", "low:Q", "high:Q"),
        ),
    ).resolve_legend(color="independent", shape="independent")
    return styled(chart)
