"""The chart of the flags: a mark for each that was asked, raised ones told apart by word and shape."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from raiaudit.reports import charts
from raiaudit.reports.figures import figures

FLAGS = pl.DataFrame(
    {
        "flag": ["zero_gradients", "plateaus", "evaluation_beaten"],
        "share": [0.9, 0.0, None],
        "low": [0.8, 0.0, 0.0],
        "high": [0.95, 0.06, 1.0],
        "tolerance": [0.02, 0.05, 0.02],
        "n": [58, 64, 0],
        "raised": [True, False, False],
        "text": ["zero gradients (52 of 58): no way to go; try another", "", "not asked"],
        "norm": ["linf"] * 3,
        "eps": [0.1] * 3,
    }
)


def marks(svg: str, kind: str) -> int:
    groups = re.findall(rf'<g class="mark-{kind} role-mark [^>]*>(.*?)</g>', svg, flags=re.DOTALL)
    return sum(len(re.findall(r"<path ", group)) for group in groups)


def test_every_flag_that_was_asked_has_a_mark_and_the_others_say_so() -> None:
    svg = charts.to_svg(charts.attack_flags(FLAGS))
    assert marks(svg, "symbol") == 2
    texts = re.findall(r">([^<>]+)</text>", svg)
    assert {"zero gradients (raised)", "plateaus", "evaluation beaten", "not asked"} <= set(texts)


def test_raised_and_silent_flags_differ_in_shape() -> None:
    svg = charts.to_svg(charts.attack_flags(FLAGS))
    symbols = re.findall(r'<g class="mark-symbol role-mark .*?</g>', svg, flags=re.DOTALL)[0]
    outlines = {re.sub(r"[\d.,-]+", "", path) for path in re.findall(r' d="([^"]+)"', symbols)}
    assert len(outlines) == 2


def test_the_caption_says_what_was_raised_and_a_figure_is_of_one_radius() -> None:
    nothing: Any = None
    both = pl.concat([FLAGS, FLAGS.with_columns(eps=pl.lit(0.2), raised=pl.lit(value=False))])
    drawn, left_out = figures("robustness.reliability", {("robustness.reliability", "flags"): both}, nothing)
    assert not left_out
    assert len(drawn) == 2
    assert "no way to go; try another" in drawn[0].caption
    assert "None was raised" in drawn[1].caption
    assert "plateaus 0.0%" in drawn[0].alt
