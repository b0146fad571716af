"""The forest plot of subgroups: findings with what they explain below, told apart by shape, and in words."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import polars as pl

from raiaudit.audit.results import Results
from raiaudit.reports import charts
from raiaudit.reports.figures import figures

RUN = cast(Results, SimpleNamespace(verdicts=[]))


def _rows(*rows: tuple[str, str, str, float, str | None]) -> pl.DataFrame:
    names = ["subgroup", "metric", "status", "gap", "explained_by"]
    schema = {**dict.fromkeys(names, pl.String), "gap": pl.Float64}
    return pl.DataFrame(list(rows), schema=schema, orient="row").with_columns(
        gap_low=pl.col("gap") - 0.05, gap_high=pl.col("gap") + 0.05, n=pl.lit(40), q=pl.lit(0.01)
    )


STORY = _rows(
    ("sex=F & race=B", "accuracy", "confirmed", -0.2, None),
    ("city=<b>&amp;", "accuracy", "suspected", -0.1, None),
    ("sex=F", "accuracy", "explained", -0.08, "sex=F & race=B"),
    ("sex=M", "accuracy", "clear", 0.08, None),
    ("sex=M", "true_positive_rate", "clear", 0.01, None),
)


def test_a_dot_an_interval_and_a_name_for_every_row() -> None:
    shown = STORY.filter(pl.col("status") != "clear")
    svg = charts.to_svg(charts.subgroup_gaps(shown, title="Accuracy, gap to everyone else"))
    [dots] = [
        group
        for group in re.findall(r'<g class="mark-symbol role-mark .*?</g>', svg, flags=re.DOTALL)
        if "<path" in group
    ]
    outlines = [re.sub(r"[\d.,-]+", "", path) for path in re.findall(r' d="([^"]+)"', dots)]
    assert len(outlines) == 3
    assert len(set(outlines)) == 3  # by shape, not only by colour
    assert "sex=F &amp; race=B (n = 40)" in svg
    assert "<b>" not in svg


def test_the_figure_shows_findings_with_their_parts_and_says_so() -> None:
    [figure], left_out = figures("fairness.subgroups", {("fairness.subgroups", "lattice"): STORY}, RUN)
    assert left_out == []
    story, part = "sex=F & race=B: -20.0 points, confirmed", "sex=F: -8.0 points, explained by sex=F & race=B"
    assert story in figure.alt
    assert figure.alt.index(story) < figure.alt.index(part) < figure.alt.index("city=")
    assert "sex=M" not in figure.alt


def test_without_a_finding_there_is_nothing_to_draw() -> None:
    clear: Any = {("fairness.subgroups", "lattice"): STORY.filter(status="clear")}
    assert figures("fairness.subgroups", clear, RUN) == ([], [])
