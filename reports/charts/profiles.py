"""Impact ratios, the false-positive rate that a base rate forces, and rates at every threshold."""

from __future__ import annotations

import altair as alt
import polars as pl

from raiaudit.reports.charts.style import AnyChart, inline, percent_axis, series, styled, tooltips
from raiaudit.reports.theme import FAINT, MUTED, SERIES

__all__ = ["forced_rates", "impact_ratios", "rates_by_threshold"]

_SAID = ("highest rate", "judged", "too small to judge")
_FORCED = {"fpr": "as audited", "forced_fpr": "forced by the base rate"}
_RATES = {"selection": "selection rate", "tpr": "true-positive rate", "fpr": "false-positive rate"}
_SERIES = 6
_FEWEST = 30  # a curve of fewer people is a staircase of accidents


def impact_ratios(table: pl.DataFrame) -> AnyChart:
    """`table`: group, n, ratio, low, high, verdict of one attribute; the dashed line is four fifths.

    A group too small to judge is a diamond in grey, the one with the highest rate a square at 1.
    """
    shown = table.sort("ratio", nulls_last=True).with_columns(
        line=pl.format("{} (n = {})", "group", "n"),
        state=pl.when(pl.col("verdict").is_in([_SAID[0], _SAID[2]]))
        .then(pl.col("verdict"))
        .otherwise(pl.lit(_SAID[1])),
    )
    lines = shown["line"].to_list()
    axis = alt.Axis(title=None, labelLimit=190, ticks=False, domain=False, grid=True)
    base = alt.Chart(inline(shown)).encode(y=alt.Y("line:N", sort=lines, axis=axis))
    furthest = max([1.0, *shown["high"].drop_nulls().clip(0, 2)])
    scale = alt.Scale(domain=[0, 1.05 * furthest], clamp=True)
    title = "Selection rate over the highest"
    x = alt.X("ratio:Q", scale=scale, axis=alt.Axis(title=title, tickCount=5, format=".1f"))
    looks = {
        "color": alt.Color(
            "state:N", scale=alt.Scale(domain=_SAID, range=[SERIES[-1], SERIES[0], FAINT]), legend=None
        ),
        "shape": alt.Shape(
            "state:N", scale=alt.Scale(domain=_SAID, range=["square", "circle", "diamond"]), legend=None
        ),
    }
    rule = alt.Chart(inline([{"rule": 0.8}])).mark_rule(color=MUTED, strokeDash=[4, 3])
    layers: list[alt.Chart] = [
        rule.encode(x=alt.X("rule:Q", scale=scale)),
        base.mark_rule(strokeWidth=1.6).encode(
            x=alt.X("low:Q", scale=scale), x2=alt.X2("high:Q"), color=looks["color"]
        ),
        base.transform_filter("datum.ratio !== null")
        .mark_point(filled=True, size=52, opacity=1)
        .encode(x=x, tooltip=tooltips("line:N", "ratio:Q", "low:Q", "high:Q", "verdict:N"), **looks),
    ]
    if shown["ratio"].null_count():
        gone = base.transform_filter("datum.ratio === null").mark_text(align="left", color=MUTED)
        layers.append(gone.encode(x=alt.value(8), text=alt.TextValue("not defined")))
    return styled(alt.layer(*layers), height=60 + 22 * len(lines))


def forced_rates(table: pl.DataFrame) -> AnyChart:
    """`table`: group, n, and fpr and forced_fpr, each also with `_low` and `_high`, of one attribute."""
    names = list(_FORCED.values())
    line = pl.format("{} (n = {})", "group", "n").alias("line")
    shown = pl.concat(
        [
            table.select(line, rate=pl.lit(name), value=column, low=f"{column}_low", high=f"{column}_high")
            for column, name in _FORCED.items()
        ]
    )
    lines = shown["line"].unique(maintain_order=True).to_list()
    look = series("rate", names)
    axis = alt.Axis(title=None, labelLimit=190, ticks=False, domain=False, grid=True)
    base = alt.Chart(inline(shown.drop_nulls("value"))).encode(
        y=alt.Y("line:N", sort=lines, scale=alt.Scale(domain=lines), axis=axis),
        yOffset=alt.YOffset("rate:N", sort=names),
    )
    furthest = max([*shown["high"].drop_nulls(), *shown["value"].drop_nulls()], default=1.0)
    scale = alt.Scale(domain=[0, min(1.0, 1.05 * furthest)])
    x = alt.X("value:Q", scale=scale, axis=percent_axis("False-positive rate", tickCount=5))
    plain = alt.Color("rate:N", scale=look["color"]["scale"], legend=None)
    whole = alt.layer(
        base.transform_filter("datum.low !== null && datum.high !== null")
        .mark_rule(strokeWidth=1.6)
        .encode(x=alt.X("low:Q", scale=scale), x2=alt.X2("high:Q"), color=plain),
        base.mark_point(filled=True, size=48, opacity=1).encode(
            x=x,
            color=look["color"],
            shape=look["shape"],
            tooltip=tooltips("line:N", "rate:N", "value:Q", "low:Q", "high:Q"),
        ),
    ).resolve_legend(color="independent", shape="independent")
    return styled(whole, height=90 + 34 * len(lines))


def rates_by_threshold(table: pl.DataFrame, points: pl.DataFrame, rate: str) -> AnyChart:
    """`rate` is selection, tpr or fpr; `table` and `points`: group, threshold, selected, tp, fp, fn, tn.

    A line a group, of the largest six with 30 people or more; the dot is where the audited predictions are.
    """
    sizes = points.with_columns(n=pl.sum_horizontal("tp", "fp", "fn", "tn")).sort("n", descending=True)
    groups = sorted(sizes.filter(pl.col("n") >= _FEWEST)["group"].head(_SERIES).to_list())
    names = _RATES[rate]
    lines, dots = (
        frame.filter(pl.col("group").is_in(groups))
        .with_columns(value=_rate(rate))
        .filter(pl.col("value").is_not_nan())
        .select("group", "threshold", "value")
        for frame in (table, points)
    )
    look, quiet = series("group", groups), series("group", groups, legend=False)
    title = names[:1].upper() + names[1:]
    unit = alt.Scale(domain=[0, 1])
    x = alt.X("threshold:Q", scale=unit, axis=alt.Axis(title="Threshold on the score", tickCount=5))
    y = alt.Y("value:Q", scale=unit, axis=percent_axis(title, tickCount=5))
    whole = alt.layer(
        alt.Chart(inline(lines))
        .mark_line()
        .encode(x=x, y=y, color=quiet["color"], strokeDash=quiet["strokeDash"]),
        alt.Chart(inline(dots))
        .mark_point(filled=True, size=48, opacity=1)
        .encode(
            x=x,
            y=y,
            color=look["color"],
            shape=look["shape"],
            tooltip=tooltips("group:N", "threshold:Q", "value:Q"),
        ),
    ).resolve_legend(color="independent", shape="independent")
    return styled(whole)


def _rate(rate: str) -> pl.Expr:
    """NaN where nobody meets the condition."""
    return {
        "selection": pl.col("selected") / pl.sum_horizontal("tp", "fp", "fn", "tn"),
        "tpr": pl.col("tp") / (pl.col("tp") + pl.col("fn")),
        "fpr": pl.col("fp") / (pl.col("fp") + pl.col("tn")),
    }[rate]
