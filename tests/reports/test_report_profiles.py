"""Rules and laws as charts and tables: what is drawn, said in words, and left out."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import polars as pl
import pytest

from raiaudit.audit.fairness.counting.tally import Tally
from raiaudit.audit.fairness.profiles.config import ProfilesConfig
from raiaudit.audit.fairness.profiles.profile_findings import profile_findings
from raiaudit.audit.results import Results
from raiaudit.reports import charts
from raiaudit.reports.figures import figures, sheets

CHECK = "fairness.profiles"


class _Subject:
    name, version = "scorer", 3


class _Data:
    name, source = "applicants", ""


class _Results:
    subject, data = _Subject, _Data


RESULTS = cast(Results, _Results)


@pytest.fixture(scope="module")
def evidence() -> dict[tuple[str, str], pl.DataFrame]:
    rng = np.random.default_rng(0)
    n = 1200
    race = rng.choice(["x", "y", "<b>z</b>"], n, p=[0.6, 0.39, 0.01])
    score = np.clip(rng.random(n) + np.where(race == "y", -0.1, 0.1), 0, 1)
    frame = pl.DataFrame(
        {
            "sex": rng.choice(["f", "m"], n),
            "race": race,
            "label": (rng.random(n) < score).astype(int),
            "predicted": (score >= 0.5).astype(int),
            "score": score,
        }
    )
    tally = Tally.of(frame, attributes=("sex", "race"), classes=("no", "yes"), positive=1)
    config = ProfilesConfig(profiles=("four_fifths", "nyc_ll144", "eu_ai_act_10_2"), permutations=99)
    return {(CHECK, name): table for name, table in profile_findings(tally, config, seed=0).evidence.items()}


def test_figures_say_in_words_what_they_show(evidence: dict[tuple[str, str], pl.DataFrame]) -> None:
    drawn, left_out = figures(CHECK, evidence, RESULTS)
    assert left_out == []
    assert len(drawn) == 2 + 2 + 3
    row = evidence[CHECK, "four_fifths"].filter(attribute="race", group="y").row(0, named=True)
    [text] = [figure.alt for figure in drawn if "rule by race" in figure.caption]
    assert f"y: {row['ratio']:.2f}, {row['verdict']}" in text
    assert "<svg" in charts.to_svg(drawn[0].drawing)


def test_sheets_hold_every_rule_and_table(evidence: dict[tuple[str, str], pl.DataFrame]) -> None:
    made = sheets(CHECK, evidence, RESULTS)
    for sheet in made:
        assert all(len(row) == len(sheet.columns) for row in sheet.rows)
        assert len(sheet.records()) == len(sheet.rows)
    captions = [sheet.caption for sheet in made]
    assert sum(caption.startswith("Local Law 144") for caption in captions) == 6
    assert any("scorer v3 on applicants" in caption for caption in captions)
    assert "favourable is “yes”" in captions[0]
    assert "are not statistically significant" in made[0].note
    [law] = [sheet for sheet in made if sheet.caption.startswith("Local Law 144, selection rates by race")]
    told = {record["Category"]: record for record in law.records()}
    assert told["<b>z</b>"]["Impact ratio"] == ""
    assert "under 2 %" in told["<b>z</b>"]["Note"]
    assert law.note == "Without a ratio (5-301(d)): too few people to tell a rate from chance."
    assert told["unknown"]["People"] == "0"


def test_a_run_without_the_tables_draws_nothing() -> None:
    assert figures(CHECK, {}, RESULTS) == ([], [])
    assert sheets(CHECK, {}, RESULTS) == []


def test_impact_chart_marks_four_fifths_and_undefined_groups() -> None:
    base: dict[str, Any] = {"n": [10, 90], "low": [None, None], "high": [None, None]}
    table = pl.DataFrame(
        {"group": ["a", "b"], "ratio": [None, None], "verdict": ["undefined", "undefined"], **base},
        schema_overrides={"ratio": pl.Float64, "low": pl.Float64, "high": pl.Float64},
    )
    svg = charts.to_svg(charts.impact_ratios(table))
    assert svg.count("not defined") == 2
    assert "a (n = 10)" in svg


def test_threshold_chart_leaves_out_tiny_groups(evidence: dict[tuple[str, str], pl.DataFrame]) -> None:
    table = evidence[CHECK, "thresholds"].filter(attribute="race")
    lines, points = table.filter(~pl.col("audited")), table.filter("audited")
    svg = charts.to_svg(charts.rates_by_threshold(lines, points, "tpr"))
    assert "True-positive rate" in svg
    assert "&lt;b&gt;" not in svg
