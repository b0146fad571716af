"""What each column of one table row says for the prediction (right) or against it (left)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from raiaudit.reports.charts.style import AnyChart, inline, percent_axis, styled, tooltips
from raiaudit.reports.theme import INK, SERIES
from raiaudit.reports.words.map_words import signed

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["signed_bars"]

_MOST = 20


def signed_bars(weights: Sequence[tuple[str, float]]) -> AnyChart:
    """`weights`: feature and weight in [-1, 1]. The largest come first.

    A bar's number stands on the other side of 0: there is room for it, whatever stands left or right.
    """
    largest = sorted(weights, key=lambda pair: -abs(pair[1]))[:_MOST]
    rows = [{"feature": name, "weight": weight, "said": signed(weight)} for name, weight in largest]
    base = alt.Chart(inline(rows)).encode(
        y=alt.Y(
            "feature:N",
            sort=[name for name, _ in largest],
            axis=alt.Axis(title=None, labelLimit=170, ticks=False, domain=False),
        )
    )
    x = alt.X(
        "weight:Q",
        scale=alt.Scale(domain=[-1, 1]),
        axis=percent_axis(
            "Against · for the prediction (of the largest)", values=[-1, 0, 1], titleAnchor="end"
        ),
    )
    bar = base.mark_bar(height=11).encode(
        x=x,
        color=alt.condition("datum.weight >= 0", alt.value(SERIES[1]), alt.value(SERIES[0])),
        tooltip=tooltips("feature:N", "weight:Q"),
    )
    left = base.transform_filter("datum.weight >= 0").mark_text(align="right", dx=-4, color=INK)
    right = base.transform_filter("datum.weight < 0").mark_text(align="left", dx=4, color=INK)
    numbers = [mark.encode(x=alt.datum(0, type="quantitative"), text="said:N") for mark in (left, right)]
    return styled(alt.layer(bar, *numbers), height=60 + 20 * len(rows))
