"""Who is at risk: the rates of the attack by group at one threshold, and the most exposed members."""

from __future__ import annotations

import altair as alt
import polars as pl

from raiaudit.reports.charts.style import AnyChart, inline, percent_axis, series, styled, tooltips
from raiaudit.reports.theme import FAINT, MUTED, SERIES

__all__ = ["exposed_members", "risk_by_group"]

_RATES = {"group_tpr": "members found", "group_fpr": "non-members accused"}


def risk_by_group(table: pl.DataFrame) -> AnyChart:
    """`table`: attribute, group, metric (`group_tpr`, `group_fpr`), value, low, high, n, fpr.

    A line a group with both rates; the tick is the rate at which the threshold was set for all. A group too
    small has no dots and says so.
    """
    shown = table.with_columns(
        pl.format("{} = {}", "attribute", "group").alias("line"),
        pl.col("metric").replace(_RATES).alias("rate"),
    )
    order = shown["line"].unique(maintain_order=True).to_list()
    look = series("rate", list(_RATES.values()))
    axis = alt.Axis(title=None, labelLimit=190, ticks=False, domain=False, grid=True)
    y = alt.Y("line:N", sort=order, axis=axis)
    base = alt.Chart(inline(shown)).encode(y=y, yOffset=alt.YOffset("rate:N", sort=list(_RATES.values())))
    high = max([*shown["high"].drop_nulls(), *shown["fpr"]], default=1.0)
    x = alt.X(
        "value:Q",
        scale=alt.Scale(domain=[0, min(1.0, 1.1 * high)]),
        axis=percent_axis("Share above the threshold", tickCount=5),
    )
    plain = alt.Color("rate:N", scale=look["color"]["scale"], legend=None)
    layers = [
        alt.Chart(inline(shown.select("line", "fpr").unique(maintain_order=True)))
        .mark_tick(color=FAINT, thickness=1.5, size=24)
        .encode(x=alt.X("fpr:Q", scale=x["scale"]), y=y),
        base.mark_rule(strokeWidth=1.6).encode(
            x=alt.X("low:Q", scale=x["scale"]), x2=alt.X2("high:Q"), color=plain
        ),
        base.transform_filter("datum.value !== null")
        .mark_point(filled=True, size=48, opacity=1)
        .encode(
            x=x,
            color=look["color"],
            shape=look["shape"],
            tooltip=tooltips("line:N", "rate:N", "value:Q", "low:Q", "high:Q", "n:Q"),
        ),
    ]
    if shown["value"].null_count():
        gone = base.transform_filter("datum.value === null").mark_text(align="left", color=MUTED)
        layers.append(gone.encode(x=alt.value(8), text=alt.TextValue("too few to say")))
    whole = alt.layer(*layers).resolve_legend(color="independent", shape="independent")
    return styled(whole, height=90 + 34 * len(order))


def exposed_members(table: pl.DataFrame) -> AnyChart:
    """`table`: example_id, rank, phi, mean_in, mean_out; a line a member, the most exposed on top.

    How sure the model is of it, beside the mean of the shadow models that were trained with and without it.
    """
    order = table.sort("rank")["example_id"].to_list()
    names = {"mean_out": "shadows without it", "mean_in": "shadows with it", "phi": "the model"}
    long = table.select("example_id", *names).rename(names).unpivot(index="example_id")
    look = series("variable", list(names.values()))
    axis = alt.Axis(title=None, labelLimit=150, ticks=False, domain=False)
    y = alt.Y("example_id:N", sort=order, axis=axis)
    x = alt.X("value:Q", axis=alt.Axis(title="Confidence φ in the true label (log-odds)", tickCount=5))
    line = alt.Chart(inline(table)).mark_rule(color=SERIES[-1], opacity=0.25, strokeWidth=1)
    dots = alt.Chart(inline(long)).mark_point(filled=True, size=40, opacity=1)
    whole = alt.layer(
        line.encode(y=y, x=alt.X("mean_out:Q"), x2=alt.X2("phi:Q")),
        dots.encode(
            y=y,
            x=x,
            color=look["color"],
            shape=look["shape"],
            tooltip=tooltips("example_id:N", "variable:N", "value:Q"),
        ),
    )
    return styled(whole, height=90 + 16 * len(order))
