"""The chart of misspelling: a dot for every share reached, a line for every kind."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import polars as pl

from raiaudit.reports.charts import accuracy_against_noise, to_svg
from raiaudit.reports.figures import figures

TABLE = pl.DataFrame(
    {
        "noise": ["swap", "swap", "middle_random", "middle_random"],
        "share": [0.0, 1.0, 0.0, 1.0],
        "misspelt": [0.0, 0.6, 0.0, 0.5],
        "accuracy": [0.8, 0.5, 0.8, 0.4],
        "low": [0.7, 0.4, 0.7, 0.3],
        "high": [0.9, 0.6, 0.9, 0.5],
    }
)


def test_the_curve_runs_over_what_was_reached() -> None:
    svg = to_svg(accuracy_against_noise(TABLE))
    group = re.findall(r'<g class="mark-symbol role-mark .*?</g>', svg, flags=re.DOTALL)[0]
    xs = [float(x) for x in re.findall(r'transform="translate\(([\d.]+),', group)]
    # middle_random, then swap: 0, 0.5, 0, 0.6 of the width
    assert xs[0] == xs[2]
    assert abs((xs[1] - xs[0]) / (xs[3] - xs[2]) - 0.5 / 0.6) < 1e-3
    assert "Words misspelt" in svg


def test_the_report_draws_it_with_words() -> None:
    check = "robustness.character_noise"
    results: Any = SimpleNamespace(verdicts=[])
    (figure,), left_out = figures(check, {(check, "curve"): TABLE}, results)
    assert left_out == []
    assert "middle random: 0: 0.8, 0.5: 0.4" in figure.alt
    assert "middle random" in figure.content.decode()
