"""Membership inference: the ROC where it matters (low false-positive rates), and the score histogram;
ε from both sides.

The ROC is drawn on log–log axes after Carlini et al., arXiv:2112.03570: an attack that finds few
members with near certainty is invisible on linear axes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from raiaudit.reports.charts.style import AnyChart, inline, percent_axis, series, styled, tooltips
from raiaudit.reports.theme import FAINT, INK, MUTED, SERIES, VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["epsilon_bar", "membership_roc", "score_histogram"]

_MARKS = {
    "low": ("shown (≥)", "triangle-right"),
    "cap": ("perfect attack", "diamond"),
    "high": ("claimed (≤)", "triangle-left"),
}


def membership_roc(table: pl.DataFrame) -> AnyChart:
    """`table`: fpr, tpr, low, high, attack, rank (0: the headline).

    Of three attacks or more the headline is the heavy line, and it alone has its band. Rates of zero have no
    place on a log axis and are left out.
    """
    ranked = table if "rank" in table.columns else table.with_columns(rank=pl.lit(0))
    shown = ranked.filter((pl.col("fpr") > 0) & (pl.col("tpr") > 0)).sort("rank", "attack", "fpr")
    names = shown["attack"].unique(maintain_order=True).to_list()
    floor = _decade_below([*shown["fpr"], *shown["tpr"]])
    if {"low", "high"} <= set(shown.columns):
        shown = shown.with_columns(pl.col("low").clip(lower_bound=floor))
    scale = alt.Scale(type="log", domain=[floor, 1])
    ticks = [10.0**power for power in range(round(math.log10(floor)), 1)]
    axis: dict[str, Any] = {"format": "~%", "values": ticks}
    x = alt.X("fpr:Q", scale=scale, axis=alt.Axis(title="False-positive rate (log)", **axis))
    y = alt.Y("tpr:Q", scale=scale, axis=alt.Axis(title="True-positive rate (log)", **axis))
    lines = _curves(shown, names, x, y)
    chance = alt.Chart(inline([{"fpr": floor, "tpr": floor}, {"fpr": 1, "tpr": 1}])).encode(x=x, y=y)
    label = alt.Chart(inline([{"fpr": math.sqrt(floor), "tpr": math.sqrt(floor)}])).encode(x=x, y=y)
    return styled(
        alt.layer(
            chance.mark_line(color=FAINT, strokeDash=[3, 3], strokeWidth=1),
            *lines,
            label.mark_text(dx=24, dy=8).encode(text=alt.TextValue("chance")),
        ).resolve_legend(color="independent", shape="independent")
    )


def _curves(shown: pl.DataFrame, names: list[str], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """The band, the lines, and dots where there are few."""
    led = len(names) > 2
    plain, named = series("attack", names, legend=False), series("attack", names)
    base = alt.Chart(inline(shown)).encode(x=x)
    layers: list[alt.Chart] = []
    if {"low", "high"} <= set(shown.columns):
        banded = shown.filter(pl.col("attack") == names[0]) if led else shown
        band = alt.Chart(inline(banded)).encode(x=x).mark_area(opacity=0.14, line=False)
        layers.append(
            band.encode(y=alt.Y("low:Q", scale=y["scale"]), y2=alt.Y2("high:Q"), color=plain["color"])
        )
    dotted = shown.height <= 40
    colour = plain["color"] if dotted else named["color"]
    leads = pl.col("attack") == names[0]
    parts = [(shown.filter(leads), 2.8), (shown.filter(~leads), 1.2)] if led else [(shown, 1.8)]
    for part, width in parts:
        line = alt.Chart(inline(part)).mark_line(strokeWidth=width)
        layers.append(line.encode(x=x, y=y, color=colour, strokeDash=plain["strokeDash"]))
        colour = plain["color"]  # one legend will do
    if dotted:
        dots = base.mark_point(filled=True, size=34, opacity=1)
        told = tooltips("attack:N", "fpr:Q", "tpr:Q")
        layers.append(dots.encode(y=y, color=named["color"], shape=named["shape"], tooltip=told))
    return layers


def score_histogram(table: pl.DataFrame, *, mark: float | None = None) -> AnyChart:
    """`table`: low and high edges of the score bin, count, member (true or false); a line at `mark`."""
    share = table.with_columns(
        (pl.col("count") / pl.col("count").sum().over("member")).alias("share"),
        pl.when("member").then(pl.lit("member")).otherwise(pl.lit("non-member")).alias("who"),
        pl.lit(0).alias("base"),
    )
    names = ["member", "non-member"]
    # Filled and outlined: where they overlap, and in print without colour, each is told from the other.
    colours = alt.Scale(domain=names, range=list(SERIES[: len(names)]))
    depths = alt.Scale(domain=names, range=[0.55, 0.06])
    shown = alt.Legend(title=None, symbolStrokeWidth=1.2)
    bars = alt.Chart(inline(share)).encode(
        x=alt.X("low:Q", axis=alt.Axis(title="Membership score (larger: more likely a member)", grid=False)),
        x2=alt.X2("high:Q"),
        y=alt.Y("share:Q", axis=percent_axis("Share of examples")),
        y2=alt.Y2("base:Q"),
        fill=alt.Fill("who:N", scale=colours, legend=shown),
        fillOpacity=alt.FillOpacity("who:N", scale=depths, legend=shown),
        stroke=alt.Stroke("who:N", scale=colours, legend=shown),
        tooltip=tooltips("who:N", "low:Q", "high:Q", "count:Q"),
    )
    whole: AnyChart = bars.mark_rect(strokeWidth=0.9)
    if mark is not None:
        line = alt.Chart(inline([{"score": mark}])).mark_rule(color=INK, strokeWidth=2)
        whole = alt.layer(whole, line.encode(x="score:Q"))
    return styled(whole)


def epsilon_bar(table: pl.DataFrame) -> AnyChart:
    """`table`: canaries, threat_model, bound, low (shown), cap (could be shown), high (accountant, or null).

    A bar from what was shown to what is claimed; red, and said so, where more was shown than claimed. Where a
    perfect attack would have shown less than the claim, the claim could not have been refuted.
    """
    refuted = pl.col("low") > pl.col("high")
    rows = table.with_columns(
        line=pl.format(
            "{}, {}{}",
            "canaries",
            "bound",
            pl.when(refuted).then(pl.lit(" (refuted)")).otherwise(pl.lit("")),
        ),
        state=pl.when(refuted).then(pl.lit("refuted")).otherwise(pl.lit("holds")),
    )
    lines = rows["line"].to_list()
    axis = alt.Axis(title=None, labelLimit=230, labelPadding=12, ticks=False, domain=False, grid=True)
    y, x = alt.Y("line:N", sort=lines, axis=axis), alt.Axis(title="Privacy loss ε")
    states = alt.Scale(domain=["holds", "refuted"], range=[SERIES[0], VERDICTS["fail"].colour])
    colour = alt.Color("state:N", scale=states, legend=None)
    both = rows.drop_nulls(["low", "high"])
    layers: list[alt.Chart] = [
        alt.Chart(inline(both))
        .mark_rule(strokeWidth=6, opacity=0.3)
        .encode(x=alt.X("low:Q", axis=x), x2=alt.X2("high:Q"), y=y, color=colour)
    ]
    marks = rows.unpivot(
        ["low", "cap", "high"], index=["line", "state"], variable_name="mark", value_name="ε"
    )
    marks = marks.drop_nulls("ε").with_columns(
        pl.col("mark").replace_strict({k: v[0] for k, v in _MARKS.items()})
    )
    names, shapes = zip(*_MARKS.values(), strict=True)
    layers.append(
        alt.Chart(inline(marks))
        .mark_point(filled=True, size=80, opacity=1)
        .encode(
            x=alt.X("ε:Q", axis=x, scale=alt.Scale(zero=True)),
            y=y,
            color=colour,
            shape=alt.Shape(
                "mark:N",
                scale=alt.Scale(domain=names, range=shapes),
                legend=alt.Legend(title=None, columns=2, symbolFillColor=MUTED, symbolStrokeColor=MUTED),
            ),
            tooltip=tooltips("line:N", "mark:N", "ε:Q"),
        )
    )
    return styled(alt.layer(*layers), height=90 + 26 * len(lines))


def _decade_below(rates: Iterable[float]) -> float:
    return 10.0 ** math.floor(math.log10(min(0.1, *rates)))
