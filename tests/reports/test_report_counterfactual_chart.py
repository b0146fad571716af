"""The chart of counterfactual effects: a mark a pair of levels, chance told apart, and its words."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from raiaudit.audit.measurement import Measurement
from raiaudit.reports import charts
from raiaudit.reports.figures import figures
from raiaudit.reports.words.wording import slice_text, value

FLIPS = pl.DataFrame(
    {
        "source": ["table", "table", "table", "eec"],
        "attribute": ["sex", "sex", "race", "gender"],
        "from": ["Male", "<Female>", "A", "female"],
        "to": ["<Female>", "Male", "B", "male"],
        "positive": [">50K"] * 4,
        "n": [10860, 5421, 12, 1440],
        "flips": [729, 120, 3, 40],
        "flip_rate": [0.067, 0.022, 0.25, 0.028],
        "effect": [-0.066, 0.019, 0.25, 0.001],
        "low": [-0.071, 0.015, 0.0, -0.01],
        "high": [-0.061, 0.023, 0.5, 0.02],
        "p_adjusted": [1e-9, 1e-9, None, 0.7],
    }
)


def test_a_mark_a_pair_and_a_figure_a_source() -> None:
    nothing: Any = None
    key = ("fairness.counterfactual", "flips")
    drawn, left_out = figures("fairness.counterfactual", {key: FLIPS}, nothing)
    assert not left_out
    assert len(drawn) == 2
    assert "The positive class is “>50K”" in drawn[0].caption
    assert "sex from Male to <Female>: -6.6% (-7.1% to -6.1%), 729 of 10860 turned" in drawn[0].alt
    assert "race" not in drawn[0].alt  # too few pairs to test
    svg = drawn[0].content.decode()
    texts = re.findall(r">([^<>]+)</text>", svg)
    assert "sex: Male → &lt;Female&gt;" in texts
    assert {"beyond chance", "may be chance"} <= set(texts)


def test_what_may_be_chance_differs_in_shape() -> None:
    both = FLIPS.head(2).with_columns(p_adjusted=pl.Series([0.001, 0.4]))
    svg = charts.to_svg(charts.counterfactual_effects(both))
    symbols = re.findall(r'<g class="mark-symbol role-mark .*?</g>', svg, flags=re.DOTALL)[0]
    assert len({re.sub(r"[\d.,-]+", "", path) for path in re.findall(r' d="([^"]+)"', symbols)}) == 2


def test_slices_and_counts_read_as_sentences() -> None:
    where: dict[str, Any] = {"source": "eec", "attribute": "gender", "from": "female", "to": "male"}
    assert slice_text(where) == "eec: gender female → male"
    assert slice_text({"source": "table", "attribute": "sex"}) == "table: sex"
    flips = Measurement(
        check="c",
        metric="counterfactual_flips",
        value=2,
        n=9,
        unit="pairs",
        better="lower",
        method="garg2019",
    )
    assert value(flips) == "2 pairs"
