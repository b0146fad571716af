"""The deletion curve (RISE, arXiv:1806.07421): how fast the prediction falls as ranked features go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from raiaudit.reports.charts.style import AnyChart, curve, percent_axis, styled

if TYPE_CHECKING:
    import polars as pl

__all__ = ["deletion_curve"]


def deletion_curve(table: pl.DataFrame) -> AnyChart:
    """`table`: fraction (of features removed), probability (of the predicted class), map, low, high."""
    return styled(
        curve(
            table.sort("map", "fraction"),
            x=alt.X("fraction:Q", axis=percent_axis("Features removed, most important first", grid=False)),
            y=alt.Y(
                "probability:Q",
                scale=alt.Scale(domain=[0, 1]),
                axis=percent_axis("Mean probability of the prediction"),
            ),
            by="map",
            tooltip=("map:N", "fraction:Q", "probability:Q"),
        )
    )
