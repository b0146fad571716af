"""ε from both sides: a mark for each number there is, a bar where both sides are, red where they cross."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from raiaudit.reports import charts
from raiaudit.reports.figures import figures
from raiaudit.reports.theme import VERDICTS

TABLE = pl.DataFrame(
    {
        "canaries": ["mislabelled", "gradient", "random", "gradient"],
        "threat_model": ["black-box, final model", "white-box, all updates"] * 2,
        "bound": ["f-DP", "f-DP", "(ε, δ)", "(ε, δ)"],
        "low": [0.5, 4.0, 0.2, None],
        "cap": [3.0, 6.0, 3.0, None],
        "high": [3.0, 3.0, None, 3.0],
    }
)


def marks(svg: str, kind: str) -> list[str]:
    groups = re.findall(rf'<g class="mark-{kind} role-mark [^>]*>(.*?)</g>', svg, flags=re.DOTALL)
    return [mark for group in groups for mark in re.findall(r"<(?:path|line) [^>]*>", group)]


def test_every_number_has_a_mark_and_the_refuted_claim_is_red_and_said() -> None:
    svg = charts.to_svg(charts.epsilon_bar(TABLE))
    assert len(marks(svg, "symbol")) == 9
    bars = marks(svg, "rule")
    assert len(bars) == 2
    assert sum(VERDICTS["fail"].colour in bar for bar in bars) == 1
    texts = set(re.findall(r">([^<>]+)</text>", svg))
    assert {"gradient, f-DP (refuted)", "mislabelled, f-DP", "shown (≥)", "claimed (≤)"} <= texts


def test_a_page_says_the_numbers_in_words() -> None:
    nothing: Any = None
    drawn, left_out = figures("privacy.canaries", {("privacy.canaries", "epsilon"): TABLE}, nothing)
    assert not left_out
    assert "random canaries, (ε, δ): shown 0.2, a perfect attack 3, accountant not defined" in drawn[0].alt
