"""The certified-accuracy curve: a line and a band for each certificate, a figure for each norm."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from raiaudit.reports import charts
from raiaudit.reports.figures import figures

CURVE = pl.DataFrame(
    {
        "radius": [0.0, 0.5, 0.0, 0.5, 0.0, 0.1],
        "certified_accuracy": [0.9, 0.4, 0.8, 0.5, 0.95, 0.2],
        "low": [0.8, 0.3, 0.7, 0.4, 0.9, 0.1],
        "high": [1.0, 0.5, 0.9, 0.6, 1.0, 0.3],
        "certificate": ["σ = 0.25", "σ = 0.25", "σ = 0.5", "σ = 0.5", "interval bounds", "interval bounds"],
        "norm": ["l2", "l2", "l2", "l2", "linf", "linf"],
    }
)


def marks(svg: str, kind: str) -> int:
    groups = re.findall(rf'<g class="mark-{kind} role-mark [^>]*>(.*?)</g>', svg, flags=re.DOTALL)
    return sum(len(re.findall(r"<path ", group)) for group in groups)


def test_a_line_and_a_band_for_each_certificate() -> None:
    svg = charts.to_svg(charts.certified_accuracy_against_radius(CURVE.filter(norm="l2"), norm="l2"))
    assert marks(svg, "line") == marks(svg, "area") == 2
    assert "L2 norm" in svg
    assert {"σ = 0.25", "σ = 0.5"} <= set(re.findall(r">([^<>]+)</text>", svg))


def test_norms_do_not_share_an_axis() -> None:
    nothing: Any = None
    drawn, left_out = figures("robustness.certified", {("robustness.certified", "curve"): CURVE}, nothing)
    assert not left_out
    assert len(drawn) == 2
    assert "0.5: 0.4" in drawn[0].alt
    assert "interval bounds: 0: 0.95, 0.1: 0.2" in drawn[1].alt
