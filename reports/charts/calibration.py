"""The reliability diagram (arXiv:1706.04599): accuracy in bins of confidence, with intervals."""

from __future__ import annotations

import altair as alt
import polars as pl

from raiaudit.reports.charts.style import AnyChart, inline, percent_axis, styled, tooltips
from raiaudit.reports.theme import FAINT, SERIES

__all__ = ["reliability_diagram"]


def reliability_diagram(table: pl.DataFrame) -> AnyChart:
    """`table`: confidence (mean of the bin), accuracy, low, high, n.

    The area of a dot grows with n; empty bins are left out.
    """
    shown = table.filter(pl.col("n") > 0)
    unit = alt.Scale(domain=[0, 1])
    x = alt.X("confidence:Q", scale=unit, axis=percent_axis("Confidence (mean of the bin)", grid=False))
    y = alt.Y("accuracy:Q", scale=unit, axis=percent_axis("Accuracy in the bin"))
    base = alt.Chart(inline(shown)).encode(x=x)
    perfect = alt.Chart(inline([{"confidence": v, "accuracy": v} for v in (0, 1)])).encode(x=x, y=y)
    size = alt.Size("n:Q", scale=alt.Scale(range=[20, 160]), legend=None)
    return styled(
        alt.layer(
            perfect.mark_line(color=FAINT, strokeDash=[3, 3], strokeWidth=1),
            base.mark_rule(color=SERIES[0], strokeWidth=1.6).encode(
                y=alt.Y("low:Q", scale=unit), y2=alt.Y2("high:Q")
            ),
            base.mark_point(filled=True, opacity=1, color=SERIES[0]).encode(
                y=y, size=size, tooltip=tooltips("confidence:Q", "accuracy:Q", "low:Q", "high:Q", "n:Q")
            ),
        )
    )
