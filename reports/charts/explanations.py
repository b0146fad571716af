"""Charts of explanations: how fast the prediction falls as ranked features go (RISE, arXiv:1806.07421), and
what attribution lies on: columns by group, words by class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from raiaudit.reports.charts.style import (
    AnyChart,
    curve,
    inline,
    percent_axis,
    series,
    styled,
    tooltips,
)
from raiaudit.reports.theme import SERIES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["attribution_by_level", "attribution_shares", "deletion_curve", "words_by_class"]

_LINES = alt.Axis(title=None, labelLimit=190, ticks=False, domain=False, grid=True)


def deletion_curve(table: pl.DataFrame) -> AnyChart:
    """`table`: removed (share of the features), and one column of mean probabilities a ranking."""
    long = table.unpivot(index="removed", variable_name="ranking", value_name="probability")
    long = long.with_columns(long["ranking"].str.replace_all("_", " "))
    unit = alt.Scale(domain=[0, 1])
    return styled(
        curve(
            long.sort("ranking", "removed"),
            x=alt.X(
                "removed:Q",
                scale=unit,
                axis=percent_axis("Features removed, most important first", grid=False),
            ),
            y=alt.Y("probability:Q", scale=unit, axis=percent_axis("Mean probability of the prediction")),
            by="ranking",
            tooltip=("ranking:N", "removed:Q", "probability:Q"),
        ),
        height=240 + 16 * ((long["ranking"].n_unique() - 1) // 3),
    )


def attribution_shares(table: pl.DataFrame) -> AnyChart:
    """`table`: column, share, low, high, watched: a bar and its interval a column, watched ones apart."""
    names = ["other columns", "group columns and proxies"]
    shown = table.sort("share", descending=True).with_columns(
        pl.when("watched").then(pl.lit(names[1])).otherwise(pl.lit(names[0])).alias("kind")
    )
    present = [name for name in names if name in set(shown["kind"])]
    base = alt.Chart(inline(shown)).encode(y=alt.Y("column:N", sort=shown["column"].to_list(), axis=_LINES))
    x = alt.X("share:Q", axis=percent_axis("Share of all |attribution|", tickCount=5))
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=present, range=[SERIES[names.index(name)] for name in present]),
        legend=alt.Legend(title=None, columns=2) if len(present) > 1 else None,
    )
    bar = base.mark_bar(opacity=0.55, height=11).encode(
        x=x, color=colour, tooltip=tooltips("column:N", "share:Q", "low:Q", "high:Q")
    )
    whisker = base.mark_rule(strokeWidth=1.6).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), color=colour)
    return styled(alt.layer(bar, whisker), height=70 + 20 * shown.height)


def attribution_by_level(table: pl.DataFrame) -> AnyChart:
    """`table`: column, level, share, low, high: a dot and its interval for each level of a group column."""
    order = table.group_by("column").agg(pl.col("share").mean()).sort("share", descending=True)["column"]
    levels = sorted(table["level"].unique().to_list())
    looks = series("level", levels, columns=2)
    base = alt.Chart(inline(table)).encode(
        y=alt.Y("column:N", sort=order.to_list(), axis=_LINES),
        yOffset=alt.YOffset("level:N", scale=alt.Scale(domain=levels, paddingOuter=0.3)),
        color=looks["color"],
    )
    x = alt.X("share:Q", axis=percent_axis("Share of all |attribution|", tickCount=5))
    whisker = base.mark_rule(strokeWidth=1.6).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    dot = base.mark_point(filled=True, size=34, opacity=1).encode(
        x=x, shape=looks["shape"], tooltip=tooltips("column:N", "level:N", "share:Q", "low:Q", "high:Q")
    )
    rows = max(20, 9 * len(levels))
    return styled(alt.layer(whisker, dot), height=80 + 16 * (len(levels) // 2) + rows * len(order))


def words_by_class(table: pl.DataFrame, *, order: Sequence[str]) -> AnyChart:
    """`table`: word, mean, texts of one class and method, in the order given."""
    shown = table.with_columns(pl.format("{} (in {})", "word", "texts").alias("line"))
    lines = dict(zip(shown["word"], shown["line"], strict=True))
    base = alt.Chart(inline(shown)).encode(
        y=alt.Y("line:N", sort=[lines[word] for word in order], axis=_LINES)
    )
    bar = base.mark_bar(height=11).encode(
        x=alt.X("mean:Q", axis=percent_axis("Mean share of a text's attribution", tickCount=5)),
        color=alt.condition("datum.mean >= 0", alt.value(SERIES[1]), alt.value(SERIES[0])),
        tooltip=tooltips("word:N", "mean:Q", "texts:Q"),
    )
    return styled(bar, height=60 + 20 * shown.height)
