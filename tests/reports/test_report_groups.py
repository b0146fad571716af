"""Groups in print: the table of every metric by group, gaps read against a tolerance, changes of level."""

from __future__ import annotations

import re
from typing import Any, cast

import numpy as np
import polars as pl
import pytest

from raiaudit.audit.fairness.by_group.findings import groups_findings
from raiaudit.audit.fairness.by_group.groups import GroupsConfig
from raiaudit.audit.fairness.counterfactual.summary import FLIPS
from raiaudit.audit.fairness.counting.tally import Tally
from raiaudit.audit.fairness.profiles.config import ProfilesConfig
from raiaudit.audit.fairness.profiles.profile_findings import profile_findings
from raiaudit.audit.results import Results
from raiaudit.reports import charts
from raiaudit.reports.content.facts import group_rows
from raiaudit.reports.figures import figures, sheets

CHECK = "fairness.groups"
Tables = dict[tuple[str, str], pl.DataFrame]


class _Nothing:
    verdicts = ()


RESULTS = cast(Results, _Nothing)


def _tables(groups: int) -> tuple[Tables, pl.DataFrame]:
    rng = np.random.default_rng(1)
    n = 400 * groups
    team = np.arange(n) % groups
    frame = pl.DataFrame(
        {
            "team": [f"<{i}>" for i in team],
            "label": (rng.random(n) < 0.5) & (team != 1),
            "predicted": rng.random(n) < 0.2 + 0.5 * team / groups,
        }
    ).with_columns(pl.col("label", "predicted").cast(pl.Int64))
    tally = Tally.of(frame, attributes=("team",), classes=("no", "yes"), positive=1)
    found = groups_findings(tally, GroupsConfig(permutations=99), seed=0).evidence
    return {(CHECK, name): table for name, table in found.items()}, frame


@pytest.fixture(scope="module")
def made() -> tuple[Tables, pl.DataFrame]:
    return _tables(3)


def test_every_metric_of_every_group_is_in_the_table(made: tuple[Tables, pl.DataFrame]) -> None:
    tables, frame = made
    [sheet] = sheets(CHECK, tables, RESULTS)
    records = {record["Metric"]: record for record in sheet.records()}
    rate = frame.filter(team="<2>")["predicted"].mean()
    assert isinstance(rate, float)
    assert records["Selection rate"]["<2>"].startswith(f"{100 * rate:.1f}\u00a0%  [")
    assert records["Selection rate"]["<2>"].endswith("n\u00a0=\u00a0400")
    assert records["True positive rate"]["<1>"] == "not defined: no examples labelled positive"
    assert "True negative rate" not in records


def test_many_groups_make_several_tables_and_the_rest_is_counted() -> None:
    tables, _ = _tables(14)
    shown = sheets(CHECK, tables, RESULTS)
    assert [len(sheet.columns) - 1 for sheet in shown] == [7, 5]
    assert "2 smaller groups" in shown[-1].note


def test_a_band_and_readings_tell_gaps_apart_without_colour() -> None:
    table = pl.DataFrame(
        {
            "group": ["x", "y"],
            "value": [0.3, 0.0],
            "low": [0.2, -0.02],
            "high": [0.4, 0.02],
            "reading": ["outside", "inside"],
        }
    )
    svg = charts.to_svg(charts.gap_forest(table, title="Gap", tolerance=0.1))
    assert {"outside", "inside", "x", "y"} <= set(re.findall(r">([^<>]+)</text>", svg))
    legend = re.findall(r'<g class="mark-symbol role-legend-symbol".*?</g>', svg, flags=re.DOTALL)
    paths = [path for symbol in legend for path in re.findall(r' d="([^"]+)"', symbol)]
    assert len({re.sub(r"[\d.,-]+", "", path) for path in paths}) == 2
    bare = charts.to_svg(charts.gap_forest(table.drop("reading"), title="Gap", tolerance=None))
    assert "outside" not in bare


def test_changes_of_level_the_clearest_first() -> None:
    nothing = dict.fromkeys(FLIPS)
    row: dict[str, Any] = nothing | {"source": "eec", "attribute": "gender", "from": "f", "n": 50, "flips": 5}
    row |= {"flip_rate": 0.1, "flip_low": 0.05, "flip_high": 0.2, "effect": -0.04, "low": -0.1, "high": 0.02}
    flips = pl.DataFrame(
        [row | {"to": "few", "n": 3}, row | {"to": "m", "p_adjusted": 1e-9}, row | {"to": "none", "n": 0}],
        schema=FLIPS,
    )
    [sheet] = sheets("fairness.counterfactual", {("fairness.counterfactual", "flips"): flips}, RESULTS)
    assert [line[0] for line in sheet.rows] == ["gender: f → m", "gender: f → few"]
    assert sheet.rows[0][5:7] == ("-4.0", "[-10.0,\u00a0+2.0]")
    assert sheet.rows[0][-1] == "<\u00a00.0001"
    assert sheet.rows[1][-1] == ""
    assert "Equity Evaluation Corpus" in sheet.caption


def test_ten_thousand_groups_fill_no_hundred_pages() -> None:
    levels = {f"g{i}": 1 + i % 7 for i in range(10_000)}
    rows = group_rows("city", levels)
    assert len(rows) == 41
    assert rows[-1][1] == "and 9,960 smaller groups"
    assert sum(int(row[2].replace(",", "")) for row in rows) == sum(levels.values())
    n = 30_000
    frame = pl.DataFrame(
        {
            "city": np.arange(n) % 3_000,
            "label": np.arange(n) % 2,
            "predicted": np.arange(n) // 7 % 2,
        }
    ).cast({"city": pl.String})
    tally = Tally.of(frame, attributes=("city",), classes=("no", "yes"), positive=1)
    config = ProfilesConfig(profiles=("four_fifths", "eu_ai_act_10_2"), permutations=99)
    found = profile_findings(tally, config, seed=0)
    assert max(len(m.reason or "") for m in found.measurements) < 5_000
    assert len(found.measurements) < 300
    assert found.evidence["eu_ai_act_10_2"]["finding"].str.len_chars().max() < 5_000  # type: ignore[operator]
    assert found.evidence["impossibility"].height == 3_000


def test_captions_of_gaps_name_the_reference(made: tuple[Tables, pl.DataFrame]) -> None:
    tables, _ = made
    gaps = [f for f in figures(CHECK, tables, RESULTS)[0] if "gap of each group" in f.caption]
    reference = tables[CHECK, "gaps"]["reference"][0]
    assert gaps
    assert all(f"(team: {reference})" in figure.caption for figure in gaps)
