"""Attention heads, what the model loses without each; the atlas, where its errors lie."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from raiaudit.reports.charts.style import WIDTH, AnyChart, inline, styled, tooltips
from raiaudit.reports.theme import FAINT, GRID, INK

__all__ = ["atlas_map", "head_importance"]

_ROW = 34
_FRAME = 70
_SHADES = ("#ffffff", "#d6e8f4", "#7db8dc", "#0072b2", "#003f63")
_ALPHA = 0.05
_MAP = 380
_LEGEND = 50
_ERRORS = ("#f8f4f1", "#f7c9ac", "#e98a4a", "#d55e00", "#8c3d00")


def head_importance(table: pl.DataFrame) -> AnyChart:
    """`table`: layer, head, importance (nats), low, high, q. A dot marks what is beyond chance (q ≤ 5 %)."""
    rows = table.with_columns(
        shade=pl.max_horizontal("importance", pl.lit(0.0)),
        text=pl.col("importance").map_elements(lambda rise: f"{rise:.2g}", return_dtype=pl.String)
        + pl.when(pl.col("q") <= _ALPHA).then(pl.lit(" •")).otherwise(pl.lit("")),
    )
    most = max(float(rows["shade"].to_numpy().max()), 1e-12)
    axis: dict[str, Any] = {"labelAngle": 0, "ticks": False, "domain": False}
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("head:O", axis=alt.Axis(title="Head", orient="top", **axis)),
        y=alt.Y("layer:O", axis=alt.Axis(title="Layer", **axis)),
    )
    scale = alt.Scale(domain=[most * step / 4 for step in range(5)], range=list(_SHADES))
    cells = base.mark_rect(stroke=GRID, strokeWidth=1).encode(
        color=alt.Color("shade:Q", scale=scale, legend=None),
        tooltip=tooltips("layer:O", "head:O", "importance:Q", "low:Q", "high:Q", "q:Q"),
    )
    heads = rows["head"].n_unique()
    layers = [cells]
    if heads <= 8:  # more numbers than these cannot be read
        ink = alt.condition(f"datum.shade > {0.6 * most}", alt.value("white"), alt.value(INK))
        layers.append(base.mark_text(fontSize=11).encode(text="text:N", color=ink))
    else:
        beyond = base.transform_filter(f"datum.q <= {_ALPHA}")
        layers.append(beyond.mark_point(size=10, filled=True, color=FAINT, opacity=1))
    return styled(alt.layer(*layers), width=WIDTH, height=_FRAME + _ROW * rows["layer"].n_unique())


def atlas_map(table: pl.DataFrame) -> AnyChart:
    """`table`: grid, column, row, n, errors, error_rate, low, high, more_errors.

    Laid out as the picture is.
    """
    grid = int(table["grid"][0])
    places = list(range(grid))
    base = alt.Chart(inline(table.drop("icon", strict=False))).encode(
        x=alt.X("column:O", axis=None, scale=alt.Scale(domain=places, paddingInner=0.06)),
        y=alt.Y("row:O", axis=None, scale=alt.Scale(domain=places, paddingInner=0.06)),
    )
    scale = alt.Scale(domain=[0, 0.25, 0.5, 0.75, 1], range=list(_ERRORS))
    legend = alt.Legend(title="Errors", format=".0%", orient="top", gradientLength=160)
    cells = base.mark_rect(stroke=GRID).encode(
        color=alt.Color("error_rate:Q", scale=scale, legend=legend),
        tooltip=tooltips("n:Q", "errors:Q", "error_rate:Q", "low:Q", "high:Q", "predicted:N"),
    )
    counts = base.mark_text(fontSize=10).encode(
        text="errors:Q",
        color=alt.condition("datum.error_rate > 0.6", alt.value("white"), alt.value(INK)),
        opacity=alt.condition("datum.errors > 0", alt.value(1), alt.value(0)),
    )
    beyond = base.transform_filter("datum.more_errors").mark_point(
        filled=True, size=24, color=INK, opacity=1, xOffset=10, yOffset=-10
    )
    return styled(alt.layer(cells, counts, beyond), width=_MAP, height=_MAP + _LEGEND)
