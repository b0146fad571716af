"""The deletion curve (RISE, arXiv:1806.07421): how fast the prediction falls as ranked features go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from raiaudit.reports.charts.style import AnyChart, curve, percent_axis, styled

if TYPE_CHECKING:
    import polars as pl

__all__ = ["deletion_curve"]


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
        )
    )
