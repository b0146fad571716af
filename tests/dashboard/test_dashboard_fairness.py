"""The page "Fairness": what it shows of a run's tables, of hostile names, of what is missing or undefined."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from raiaudit.audit.fairness.by_group.findings import groups_findings
from raiaudit.audit.fairness.by_group.groups import GroupsConfig
from raiaudit.audit.fairness.counterfactual.summary import FLIPS
from raiaudit.audit.fairness.counting.tally import Tally
from raiaudit.audit.fairness.profiles.config import ProfilesConfig
from raiaudit.audit.fairness.profiles.profile_findings import profile_findings
from raiaudit.audit.fairness.subgroups.subgroups import SubgroupsConfig, subgroup_findings
from raiaudit.audit.store import Run
from raiaudit.dashboard.fairness.groups import reading
from raiaudit.dashboard.fairness.saying import as_csv

AddRun = Callable[..., Run]
HOSTILE = "**b** [x](http://x.y) <i> $1$ :smile:"
GROUPS, SUBGROUPS = "fairness.groups", "fairness.subgroups"
PROFILES, COUNTERFACTUAL = "fairness.profiles", "fairness.counterfactual"


def people(n: int = 1200) -> pl.DataFrame:
    """Old hostile-named people are selected far more often; of group "none" nobody is labelled positive."""
    rng = np.random.default_rng(3)
    team = rng.choice(["a", HOSTILE, "none"], n, p=[0.55, 0.35, 0.1])
    age = rng.choice(["old", "young"], n)
    marked = (team == HOSTILE) & (age == "old")
    score = np.clip(rng.random(n) * 0.8 + np.where(marked, 0.4, 0.0), 0, 1)
    label = (rng.random(n) < 0.5) & (team != "none")
    return pl.DataFrame(
        {
            "team": team,
            "age": age,
            "label": label.astype(int),
            "predicted": (score >= 0.5).astype(int),
            "score": score,
        }
    )


@pytest.fixture(scope="module")
def tables() -> dict[tuple[str, str], pl.DataFrame]:
    tally = Tally.of(people(), attributes=("team", "age"), classes=("no", "yes"), positive=1)
    profiles = ProfilesConfig(profiles=("four_fifths", "eu_ai_act_10_2"), permutations=99)
    found = {
        GROUPS: groups_findings(tally, GroupsConfig(permutations=99), seed=0),
        SUBGROUPS: subgroup_findings(tally, SubgroupsConfig(), seed=0),
        PROFILES: profile_findings(tally, profiles, seed=0),
    }
    flip = dict.fromkeys(FLIPS) | {
        **{"source": "table", "attribute": "team", "from": "a", "to": HOSTILE, "positive": "yes"},
        **{"n": 500, "clusters": 500, "flips": 60, "flip_rate": 0.12, "flip_low": 0.1, "flip_high": 0.15},
        **{"effect": 0.08, "low": 0.05, "high": 0.11, "p": 1e-6, "p_adjusted": 1e-6},
    }
    pair = {
        "source": "table",
        "attribute": "team",
        "from": "a",
        "to": HOSTILE,
        "from_id": "p1",
        "to_id": "p1#",
    }
    pair |= {"from_class": "no", "to_class": "yes"}
    return {
        **{(check, name): table for check, f in found.items() for name, table in f.evidence.items()},
        (COUNTERFACTUAL, "flips"): pl.DataFrame([flip], schema=FLIPS),
        (COUNTERFACTUAL, "pairs"): pl.DataFrame([{**pair, "change": 0.31}]),
    }


def put(run: Run, tables: dict[tuple[str, str], pl.DataFrame]) -> None:
    for (check, name), table in tables.items():
        path = run.folder / "evidence" / check / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write_parquet(path)


@pytest.fixture
def run(add: AddRun, tables: dict[tuple[str, str], pl.DataFrame]) -> Run:
    made = add("whole", evidence=False)
    put(made, tables)
    return made


def page(section: str = "Groups", **query: str) -> AppTest:
    def script() -> None:
        from raiaudit.audit.store import Home
        from raiaudit.dashboard.fairness import page

        page.show(Home.at(), {})

    app = AppTest.from_function(script, default_timeout=30)
    for key, value in {"section": section, **query}.items():
        app.query_params[key] = value
    return ok(app.run())


def ok(app: AppTest) -> AppTest:
    assert not app.exception, [element.value for element in app.exception]
    return app


def bare(text: object) -> str:
    return str(text).replace("\\", "").replace("\u2060", "").replace("**", "").replace("\u00a0", " ")


def shown(app: AppTest) -> str:
    kinds: tuple[Iterable[Any], ...] = (app.markdown, app.caption, app.info, app.warning, app.subheader)
    return bare("\n".join(str(element.value) for kind in kinds for element in kind))


def rows(app: AppTest, table: int = 0) -> list[dict[str, str]]:
    records = app.table[table].value.to_dict("records")
    return [{bare(key): bare(cell) for key, cell in record.items()} for record in records]


def test_an_empty_home_says_how_to_begin(home: object) -> None:
    assert "raiaudit run examples/fairness.yaml" in page().code[0].value


def test_groups_show_value_interval_n_and_hostile_names_as_they_are(run: Run) -> None:
    app = page()
    data = people()
    rate = data.filter(team=HOSTILE)["predicted"].mean()
    assert isinstance(rate, float)
    row = next(row for row in rows(app) if row["Metric"] == "Selection rate")
    cell = row[HOSTILE.replace("**", "")]
    assert cell.startswith(f"{100 * rate:.1f} %")
    assert f"n = {data.filter(team=HOSTILE).height:,}" in cell
    assert "a (reference)" in row
    raw = [str(name) for name in app.table[0].value.columns]
    assert not any("[x](" in name or "<i>" in name for name in raw)


def test_every_metric_is_explained_below_the_table(run: Run) -> None:
    app = page()
    words = next(e for e in app.expander if e.label.startswith("What each metric says")).markdown[0].value
    lines = words.replace("\\", "").splitlines()
    asked = {row["Metric"].partition(" (")[0] for row in rows(app) if "Metric" in row}
    assert {"Selection rate", "True positive rate"} <= asked
    assert asked <= {line.partition("**")[2].partition("**")[0] for line in lines}


def test_undefined_is_said_with_its_reason(run: Run) -> None:
    row = next(row for row in rows(page()) if row["Metric"] == "True positive rate")
    assert "not defined: no examples labelled positive" in row["none"]
    assert "0.0" not in row["none"]


def test_gaps_are_read_by_their_whole_interval() -> None:
    assert reading(-0.04, 0.05, 0.05) == "inside"
    assert reading(0.06, 0.2, 0.05) == "outside"
    assert reading(-0.2, -0.051, 0.05) == "outside"
    assert reading(-0.06, 0.01, 0.05) == "undecided"


def test_the_tolerance_moves_the_reading(run: Run, tables: dict[tuple[str, str], pl.DataFrame]) -> None:
    gaps = tables[GROUPS, "gaps"].filter(attribute="team", metric="selection_rate_gap")
    low = gaps.filter(group=HOSTILE)["low"][0]
    assert low > 0.01
    said = {}
    for points in ("1", "50"):
        app = page(tolerance=points)
        said[points] = {row["Group"]: row["Reading"] for row in rows(app, 1)}[HOSTILE.replace("**", "")]
    assert said == {"1": "✗ outside", "50": "✓ inside"}


def test_a_step_down_the_lattice_and_back(run: Run, tables: dict[tuple[str, str], pl.DataFrame]) -> None:
    lattice = tables[SUBGROUPS, "lattice"].filter(metric="selection_rate")
    app = page("Subgroups", rate="Selection rate")
    first = app.dataframe[0].value
    assert set(first["One level more"]) == {
        name.replace("=", " = ", 1) for name in lattice.filter(depth=1)["subgroup"]
    }
    app.selectbox(key="level0").select(HOSTILE)
    ok(app.run())
    below = lattice.filter(pl.col("depth") == 2, pl.col("level.team") == HOSTILE)
    assert list(app.dataframe[0].value["People"]) == below.sort("q")["people"].to_list()
    here = lattice.filter(pl.col("depth") == 1, pl.col("level.team") == HOSTILE).row(0, named=True)
    assert f"{here['people']:,} people" in shown(app)
    assert HOSTILE.replace("**", "") in bare(app.button(key="crumb1").label)
    app.button(key="crumb0").click()
    ok(app.run())
    assert app.selectbox(key="level0").value == "everyone"
    assert len(app.dataframe[0].value) == len(first)


def test_the_planted_subgroup_is_found_and_named(run: Run) -> None:
    app = page("Subgroups", rate="Selection rate", level0=HOSTILE, level1="old")
    assert "✗ confirmed" in shown(app)


def test_thresholds_count_as_the_rows_do(run: Run) -> None:
    app = page("Thresholds", threshold="0.3")
    data = people()
    assert "Exploration, not evidence" in shown(app)
    step = np.round(60 * 4096 / 200) / 4096  # the edge of a bin of scores next to 0.3
    for row in rows(app)[:3]:
        name = next(team for team in data["team"].unique() if team.replace("**", "") == row["Group"])
        mine = data.filter(team=name)
        chosen = mine["score"].to_numpy() >= step
        assert row["Selection rate"] == f"{100 * chosen.mean():.1f} %"
        labelled = mine["label"].to_numpy() == 1
        expected = f"{100 * chosen[labelled].mean():.1f} %" if labelled.any() else "—"
        assert row["TPR"] == expected


def test_thresholds_are_told_in_the_scale_of_a_file(run: Run) -> None:
    (run.folder / "spec.lock.yaml").write_text("options: {score_range: [1, 10]}")
    assert rows(page("Thresholds", threshold="0.5"))[0]["Threshold"] == "0.500 (score 5.5)"


def test_a_threshold_for_each_group_moves_that_group_alone(run: Run) -> None:
    before = rows(page("Thresholds"))
    after = rows(page("Thresholds", own="true", t1="0.9"))
    assert before[0] == after[0]
    assert before[1]["Selection rate"] != after[1]["Selection rate"]
    assert before[-1] == after[-1]  # as audited


def test_impossibility_in_words(run: Run, tables: dict[tuple[str, str], pl.DataFrame]) -> None:
    text = shown(page("What cannot hold together", attribute="team"))
    assert "not together] Equal PPV, equal FPR and equal FNR" in text
    forced = tables[PROFILES, "impossibility"].filter(attribute="team").drop_nulls("forced_fpr")
    highest = forced.sort("base_rate").row(-1, named=True)
    assert f"a false-positive rate of {100 * highest['forced_fpr']:.1f} %" in text


def test_rules_and_counterfactuals(run: Run) -> None:
    app = page("Rules and laws")
    assert "Four-fifths rule by team." in shown(app)
    assert len(app.get("download_button")) == 3
    app = page("Counterfactual tests")
    [change] = app.dataframe[0].value.to_dict("records")
    assert (change["Change"], change["Turned"], change["Net to positive"]) == (
        f"team: a → {HOSTILE}",
        60,
        "+8.0",
    )
    assert app.dataframe[1].value["Decision"][0] == "no → yes"


@pytest.mark.parametrize(
    ("section", "check"),
    [
        ("Subgroups", SUBGROUPS),
        ("Thresholds", PROFILES),
        ("What cannot hold together", PROFILES),
        ("Rules and laws", PROFILES),
        ("Counterfactual tests", COUNTERFACTUAL),
    ],
)
def test_a_check_that_was_not_asked_for_says_what_to_add(add: AddRun, section: str, check: str) -> None:
    add("plain")  # a run with the older, smaller table of groups alone
    assert f"- use: {check}" in shown(page(section))


def test_an_older_table_of_groups_is_shown(add: AddRun) -> None:
    add("plain")
    assert "fewer than two groups" in shown(page())


def test_a_run_that_has_not_finished_and_one_that_is_damaged(add: AddRun, run: Run) -> None:
    add("live", status="failed")
    assert "has not finished" in shown(page(run="live"))
    (run.folder / "evidence" / SUBGROUPS / "lattice.parquet").write_bytes(b"torn")
    assert "A table is left out" in shown(page("Subgroups", run="whole"))


def test_ten_thousand_groups_and_a_large_lattice_stay_small_on_the_page(
    run: Run, tables: dict[tuple[str, str], pl.DataFrame]
) -> None:
    many = [f"g{i:05d}" for i in range(10_000)]
    by_group = tables[GROUPS, "by_group"].filter(attribute="team", metric="accuracy").head(1)
    gaps = tables[GROUPS, "gaps"].filter(metric="selection_rate_gap").head(1)
    lattice = tables[SUBGROUPS, "lattice"].filter(depth=2).head(1)
    names = pl.Series("group", many)
    put(
        run,
        {
            (GROUPS, "by_group"): by_group.drop("group").join(names.to_frame(), how="cross"),
            (GROUPS, "gaps"): gaps.drop("group").join(names.to_frame(), how="cross"),
            (SUBGROUPS, "lattice"): lattice.drop("level.team", "depth").join(
                pl.DataFrame({"level.team": many * 10, "depth": [1] * 100_000}), how="cross"
            ),
        },
    )
    app = page(find="G0123")
    assert len(app.table[0].value.columns) == 1 + 7
    assert "7 of 10 groups" in shown(app)
    assert len(app.table[1].value) == 30
    app = page("Subgroups")
    assert len(app.dataframe[0].value) == 200


def test_no_spreadsheet_takes_a_group_for_a_formula() -> None:
    csv = as_csv(pl.DataFrame({"group": ["=1+1", "a,b"], "n": [1, None], "says": [["x", "y"], []]}))
    assert csv == 'group,n,says\n\'=1+1,1,x y\n"a,b",,\n'
