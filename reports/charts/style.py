"""What all charts share: the theme, the layers for a curve with its interval, and the way to SVG.

Data are inlined as plain records, so that a chart carries what it shows and two equal tables give
equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import altair as alt

from raiaudit.reports.theme import FAINT, FONT, GRID, INK, MUTED, SERIES

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "AnyChart",
    "curve",
    "inline",
    "percent_axis",
    "series",
    "styled",
    "to_svg",
    "tooltips",
    "unchecked",
]

WIDTH = 340
HEIGHT = 240
VEGA_LITE = "6.4"
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "stroke")
_DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 4], [1, 3], [10, 4])

AnyChart = alt.Chart | alt.LayerChart | alt.FacetChart


def inline(rows: pl.DataFrame | Sequence[Mapping[str, object]]) -> alt.InlineData:
    """The rows as records inside the chart."""
    return alt.InlineData(values=list(rows) if isinstance(rows, Sequence) else rows.to_dicts())


def percent_axis(title: str, **options: Any) -> alt.Axis:
    """An axis over [0, 1] that reads in percent."""
    return alt.Axis(title=title, format=".0%", **options)


def tooltips(*fields: str) -> list[alt.Tooltip]:
    """What a page shows under the pointer (as objects: Altair is slow to resolve bare strings)."""
    return [alt.Tooltip(field) for field in fields]


def series(field: str, names: Sequence[str], *, legend: bool = True, columns: int = 3) -> dict[str, Any]:
    """Encodings that tell series apart by colour, shape and dash at once. One series gets no legend."""
    several = legend and len(names) > 1
    shown = alt.Legend(title=None, symbolOpacity=1, columns=columns) if several else None
    domain = list(names)

    def scale(choices: Sequence[Any], *, shifted: bool = False) -> alt.Scale:
        """`shifted` moves on by one each time round, so that no two series look the same."""
        n = len(choices)
        chosen = [choices[(i + (i // n if shifted else 0)) % n] for i in range(len(domain))]
        return alt.Scale(domain=domain, range=chosen)

    return {
        "color": alt.Color(f"{field}:N", scale=scale(SERIES), legend=shown),
        "shape": alt.Shape(f"{field}:N", scale=scale(_SHAPES, shifted=True), legend=shown),
        "strokeDash": alt.StrokeDash(f"{field}:N", scale=scale(_DASHES), legend=None),
    }


def curve(
    frame: pl.DataFrame,
    *,
    x: alt.X,
    y: alt.Y,
    by: str,
    points: bool = True,
    tooltip: Sequence[str] = (),
    columns: int = 3,
) -> AnyChart:
    """Lines of `y` over `x`, one a value of `by`, with the band `low`…`high` where the frame has it.

    `columns` of the legend: fewer for long names.
    """
    names = sorted(frame[by].unique().drop_nulls().to_list())
    plain, named = series(by, names, legend=False), series(by, names, columns=columns)
    base = alt.Chart(inline(frame)).encode(x=x)
    layers: list[alt.Chart] = []
    if {"low", "high"} <= set(frame.columns):
        band = base.mark_area(opacity=0.14, line=False)
        layers.append(
            band.encode(y=alt.Y("low:Q", scale=y["scale"]), y2=alt.Y2("high:Q"), color=plain["color"])
        )
    colour = plain["color"] if points else named["color"]
    layers.append(base.mark_line().encode(y=y, color=colour, strokeDash=plain["strokeDash"]))
    if points:
        dots = base.mark_point(filled=True, size=34, opacity=1)
        layers.append(
            dots.encode(y=y, color=named["color"], shape=named["shape"], tooltip=tooltips(*tooltip))
        )
    # Independent legends: the one of the dots alone shows the shapes as drawn.
    whole: AnyChart = alt.layer(*layers).resolve_legend(color="independent", shape="independent")
    return whole


def styled(chart: AnyChart, *, width: int = WIDTH, height: int = HEIGHT) -> AnyChart:
    """The chart in our theme; `width` × `height` is the whole picture, labels and legend included."""
    axis: dict[str, Any] = {
        "labelColor": MUTED,
        "titleColor": INK,
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 11,
        "titlePadding": 8,
        "gridColor": GRID,
        "domainColor": FAINT,
        "tickColor": FAINT,
        "tickSize": 4,
        "labelFont": FONT,
        "titleFont": FONT,
    }
    legend: dict[str, Any] = {
        "orient": "top",
        "labelColor": INK,
        "labelFontSize": 11,
        "labelFont": FONT,
        "titleFont": FONT,
        "labelLimit": 180,
        "symbolSize": 60,
        "symbolOpacity": 1,
        "symbolStrokeWidth": 1.8,
        "columns": 3,
        "offset": 6,
    }
    config = alt.Config(
        background="white",
        autosize=alt.AutoSizeParams(type="fit", contains="padding"),
        font=FONT,
        axis=alt.AxisConfig(**axis),
        legend=alt.LegendConfig(**legend),
        header=alt.HeaderConfig(labelFont=FONT, titleFont=FONT, labelColor=INK, labelFontSize=12),
        view=alt.ViewConfig(stroke=None),
        line=alt.LineConfig(strokeWidth=1.8),
        text=alt.MarkConfig(font=FONT, fontSize=11, color=MUTED),
    )
    return chart.properties(width=width, height=height, config=config)


@contextmanager
def unchecked() -> Iterator[None]:
    """Without Altair's check of every object against its schema: a third of the time of making a chart.

    For documents, whose charts the tests have drawn; not for threads: the switch is Altair's global one.
    """
    from altair.utils.schemapi import debug_mode

    with debug_mode(False):
        yield


def to_svg(chart: Any) -> str:
    """The chart as SVG text, drawn in this process without a browser."""
    import vl_convert

    text: str = vl_convert.vegalite_to_svg(chart.to_dict(validate=False), vl_version=VEGA_LITE)
    return text
