"""Whether maps are believed: perturbation traces, gains over controls, and randomised weights and labels."""

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
from raiaudit.reports.theme import MUTED

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["gains_over_controls", "label_dependence", "randomisation_cascade", "trace_curves"]


def trace_curves(table: pl.DataFrame, *, first: str, several: bool = True) -> AnyChart:
    """`table`: map, removed, probability, of means low and high; `first` names what goes first.

    `several`: whether a curve is the mean over examples or that of one alone.
    """
    axis = "Mean probability of the prediction" if several else "Probability of the prediction"
    unit = alt.Scale(domain=[0, 1])
    return styled(
        curve(
            table.with_columns(map=_words("map")).sort("map", "removed"),
            x=alt.X(
                "removed:Q",
                scale=unit,
                axis=percent_axis(f"Features removed, {first} relevant first", grid=False),
            ),
            y=alt.Y("probability:Q", scale=unit, axis=percent_axis(axis)),
            by="map",
            points=False,
            tooltip=("map:N", "removed:Q", "probability:Q"),
        ),
        height=280,
    )


def gains_over_controls(table: pl.DataFrame) -> AnyChart:
    """`table`: method, control, gain, low, high of the deletion area; the line at 0 is "no better"."""
    shown = table.with_columns(
        method=_words("method"),
        control=pl.when(pl.col("control").str.starts_with("blurred:"))
        .then(pl.lit("its own blur"))
        .otherwise(_words("control")),
    )
    x = alt.X(
        "gain:Q",
        scale=alt.Scale(zero=True),
        axis=percent_axis("Deletion area below the control's", tickCount=5),
    )
    return _by_method(shown, "control", x)


def label_dependence(table: pl.DataFrame) -> AnyChart:
    """`table`: method, trained (on which labels), value, low, high; the line at 0 is "nothing in common"."""
    shown = table.with_columns(method=_words("method"))
    x = alt.X(
        "value:Q",
        scale=alt.Scale(domain=[min([-0.2, *shown["low"].drop_nulls()]), 1]),
        axis=alt.Axis(title="Rank correlation with the model's maps", tickCount=5),
    )
    return _by_method(shown, "trained", x)


def _by_method(shown: pl.DataFrame, by: str, x: alt.X) -> AnyChart:
    """A dot and its interval (low, high) for each method and value of `by`, beside a line at 0."""
    names = shown[by].unique(maintain_order=True).to_list()
    look = series(by, names)
    rows = alt.Y(
        "method:N",
        sort=shown["method"].unique(maintain_order=True).to_list(),
        axis=alt.Axis(title=None, labelLimit=170, ticks=False, domain=False, grid=True),
    )
    aside = alt.YOffset(f"{by}:N", sort=names)
    base = alt.Chart(inline(shown)).encode(y=rows, yOffset=aside)
    whisker = base.mark_rule(strokeWidth=1.6).encode(
        x=alt.X("low:Q", scale=x["scale"]),
        x2=alt.X2("high:Q"),
        color=series(by, names, legend=False)["color"],
    )
    dot = base.mark_point(filled=True, size=48, opacity=1).encode(
        x=x,
        color=look["color"],
        shape=look["shape"],
        tooltip=tooltips("method:N", f"{by}:N", f"{x['shorthand']}", "low:Q", "high:Q"),
    )
    zero = alt.Chart(inline([{"x": 0}])).mark_rule(color=MUTED, strokeDash=[4, 3]).encode(x="x:Q")
    whole = alt.layer(zero, whisker, dot).resolve_legend(color="independent", shape="independent")
    return styled(whole, height=90 + 46 * shown["method"].n_unique())


def randomisation_cascade(table: pl.DataFrame, *, order: Sequence[str], ssim: bool = False) -> AnyChart:
    """`table`: method, layers, value, low, high; `order` the stages from the output to the input."""
    shown = table.with_columns(method=_words("method"))
    lowest = min([-0.2, *shown["low"].drop_nulls().to_list()])
    what = "SSIM" if ssim else "Rank correlation"
    return styled(
        curve(
            shown.sort("method", "stage"),
            x=alt.X(
                "layers:N",
                sort=list(order),
                axis=alt.Axis(title="Layers drawn anew, from the output down to", grid=False, labelAngle=-30),
            ),
            y=alt.Y(
                "value:Q",
                scale=alt.Scale(domain=[lowest, 1]),
                axis=alt.Axis(title=f"{what} with the trained map"),
            ),
            by="method",
            tooltip=("method:N", "layers:N", "value:Q", "low:Q", "high:Q"),
        ),
        height=280,
    )


def _words(column: str) -> pl.Expr:
    return pl.col(column).str.replace_all("_", " ")
