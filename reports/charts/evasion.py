"""What an attack did to whom: the parts of an ensemble beside each other, and the classes one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from raiaudit.reports.charts.style import AnyChart, inline, percent_axis, series, styled, tooltips
from raiaudit.reports.theme import FAINT, GRID, MUTED, SERIES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["attack_contributions", "class_robustness"]

_UNIT = alt.Scale(domain=[0, 1])
_CLEAN, _SURVIVED = "clean error", "survived"


def attack_contributions(table: pl.DataFrame) -> AnyChart:
    """`table`: line (attack and radius), part, order, share, count; a stacked bar a line, parts in order.

    The parts "clean error" and "survived" are greys at both ends: neither is an attack's doing.
    """
    shown = table.sort("order")
    lines = table["line"].unique(maintain_order=True).to_list()
    parts = shown["part"].unique(maintain_order=True).to_list()
    tried = [part for part in parts if part not in (_CLEAN, _SURVIVED)]
    ordered = [part for part in (_CLEAN, *tried, _SURVIVED) if part in parts]
    greys = {_CLEAN: FAINT, _SURVIVED: GRID}
    colours = iter(SERIES * (1 + len(tried) // len(SERIES)))
    scale = alt.Scale(domain=ordered, range=[greys.get(part) or next(colours) for part in ordered])
    ranked = shown.with_columns(rank=pl.col("part").replace_strict({p: i for i, p in enumerate(ordered)}))
    bars = alt.Chart(inline(ranked)).mark_bar(size=20, stroke="white", strokeWidth=1)
    return styled(
        bars.encode(
            x=alt.X("share:Q", scale=_UNIT, axis=percent_axis("Attacked examples", tickCount=5)),
            y=_names("line", lines),
            color=alt.Color(
                "part:N",
                scale=scale,
                legend=alt.Legend(title=None, symbolOpacity=1, symbolType="square", columns=3),
            ),
            order=alt.Order("rank:Q"),
            tooltip=tooltips("line:N", "part:N", "count:Q", "share:Q"),
        ),
        height=100 + 20 * (len(ordered) // 3) + 30 * len(lines),
    )


def class_robustness(table: pl.DataFrame) -> AnyChart:
    """`table`: class, n, clean, clean_low, clean_high, robust, robust_low, robust_high, in order.

    A class without examples keeps its line and says so.
    """
    named = table.with_columns(pl.format("{} (n = {})", "class", "n").alias("line"))
    lines = named["line"].to_list()
    long = pl.concat(
        [
            named.select(
                "line",
                pl.lit(title).alias("accuracy"),
                pl.col(kind).alias("value"),
                pl.col(f"{kind}_low").alias("low"),
                pl.col(f"{kind}_high").alias("high"),
            )
            for kind, title in (("clean", "clean"), ("robust", "under attack"))
        ]
    )
    looks = series("accuracy", ["clean", "under attack"])
    looks.pop("strokeDash")
    base = alt.Chart(inline(long)).encode(
        y=_names("line", lines), yOffset=alt.YOffset("accuracy:N", sort=["clean", "under attack"])
    )
    known = base.transform_filter("datum.value !== null")
    whisker = known.mark_rule(strokeWidth=1.4).encode(
        x=alt.X("low:Q", scale=_UNIT), x2=alt.X2("high:Q"), color=looks["color"].copy()
    )
    dot = known.mark_point(filled=True, size=34, opacity=1).encode(
        x=alt.X("value:Q", scale=_UNIT, axis=percent_axis("Accuracy", tickCount=5)),
        tooltip=tooltips("line:N", "accuracy:N", "value:Q", "low:Q", "high:Q"),
        **looks,
    )
    layers: list[alt.Chart] = [whisker, dot]
    if named["robust"].null_count():
        empty = alt.Chart(inline(named.filter(pl.col("robust").is_null()))).mark_text(
            align="left", color=MUTED
        )
        layers.append(
            empty.encode(
                y=_names("line", lines), x=alt.value(8), text=alt.TextValue("no example was attacked")
            )
        )
    return styled(alt.layer(*layers), height=80 + 22 * len(lines))


def _names(field: str, lines: Sequence[str]) -> alt.Y:
    axis = alt.Axis(title=None, labelLimit=190, labelPadding=8, ticks=False, domain=False, grid=False)
    return alt.Y(f"{field}:N", sort=list(lines), axis=axis)
