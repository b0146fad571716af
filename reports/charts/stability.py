"""Explanations under attack (arXiv:1710.10547): what is left of a map while inputs move."""

from __future__ import annotations

import altair as alt
import polars as pl

from raiaudit.reports.charts.style import AnyChart, curve, percent_axis, styled

__all__ = ["overlap_against_eps"]

_ATTACKS = {"noise": "noise", "ghorbani": "attack"}


def overlap_against_eps(table: pl.DataFrame, *, of: str = "input units") -> AnyChart:
    """`table`: method, attack (noise or ghorbani), eps, overlap, low, high. `of`: what eps is measured in."""
    named = pl.concat_str(
        [
            pl.col("method").str.replace_all("_", " "),
            pl.col("attack").replace_strict(_ATTACKS, default=pl.col("attack")),
        ],
        separator=", ",
    )
    return styled(
        curve(
            table.with_columns(series=named).sort("series", "eps"),
            x=alt.X("eps:Q", axis=alt.Axis(title=f"Change ε (L∞ norm, {of})", grid=False, tickCount=5)),
            y=alt.Y(
                "overlap:Q",
                scale=alt.Scale(domain=[0, 1]),
                axis=percent_axis("Most relevant features that stay so"),
            ),
            by="series",
            columns=2,
            tooltip=("series:N", "eps:Q", "overlap:Q", "low:Q", "high:Q"),
        )
    )
