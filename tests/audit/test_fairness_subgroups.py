"""`fairness.subgroups` end to end: through a ledger, from a tally alone, with bad input, and its table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from raiaudit.audit.check import Check
from raiaudit.audit.fairness.by_group.groups import Groups, GroupsConfig
from raiaudit.audit.fairness.counting.tally import Tally
from raiaudit.audit.fairness.subgroups import table
from raiaudit.audit.fairness.subgroups.subgroups import Subgroups, SubgroupsConfig, subgroup_findings
from raiaudit.audit.gates import Gate, decide
from raiaudit.audit.ledger import Ledger
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.intervals import wilson
from raiaudit.errors import UnknownNameError, UsageError
from raiaudit.models.data.compas import compas_scores

if TYPE_CHECKING:
    from raiaudit.audit.subject import Subject

Echo = Callable[..., "Subject"]
Run = Callable[..., Ledger]

CHECK = Subgroups()
CONFIG = SubgroupsConfig()
TWO = ("no", "yes")
NAMES = ("sex", "race", "age")


def _people(n: int = 6000, seed: int = 0, harm: float = 0.25) -> pl.DataFrame:
    """Black women get wrong answers `harm` more often than the 15 % of everyone."""
    rng = np.random.default_rng(seed)
    sex, race, age = rng.choice(["F", "M"], n), rng.choice(["B", "W", "A"], n), rng.choice(["y", "o"], n)
    label = rng.integers(2, size=n)
    wrong = rng.random(n) < 0.15 + harm * ((sex == "F") & (race == "B"))
    columns = {
        "sex": sex,
        "race": race,
        "age": age,
        "label": label,
        "predicted": np.where(wrong, 1 - label, label),
    }
    return pl.DataFrame(columns)


def _tally(rows: pl.DataFrame, names: tuple[str, ...] = NAMES, **changes: Any) -> Tally:
    return Tally.of(rows, **{"attributes": names, "classes": TWO, "positive": 1, **changes})


def _find(measured: list[Measurement], metric: str, **where: Any) -> list[Measurement]:
    return [m for m in measured if m.metric == metric and where.items() <= m.where.items()]


def _subject(make_echo: Echo, rows: pl.DataFrame, names: tuple[str, ...] = NAMES) -> Subject:
    logits = np.eye(2)[rows["predicted"].to_numpy()] * 3
    groups = {name: rows[name].to_list() for name in names}
    return make_echo(logits, rows["label"].to_numpy(), classes=TWO, groups=groups)


def test_planted_harm_through_the_check(make_echo: Echo, run_check: Run) -> None:
    rows = _people()
    subject = _subject(make_echo, rows)
    assert isinstance(CHECK, Check)
    ledger = run_check(CHECK, subject, CONFIG)
    measured = CHECK.summarise(ledger, subject, CONFIG)
    [count] = _find(measured, "confirmed_subgroups", rate="accuracy")
    [gap] = _find(measured, "confirmed_gap", rate="accuracy")
    assert count.value == 1
    assert gap.where["subgroup"] == "sex=F & race=B"
    assert gap.low is not None
    assert gap.high is not None
    assert 0.1 < gap.low < 0.25 < gap.high < 0.4
    gate = Gate(metric="confirmed_subgroups", max=0)
    assert decide(CHECK.id, gate, measured).status == "fail"
    assert CHECK.summarise(ledger, subject, CONFIG) == measured
    from_rows = subgroup_findings(_tally(rows), CONFIG, seed=subject.seed)
    assert from_rows.measurements == measured
    assert from_rows.evidence["lattice"].equals(CHECK.evidence(ledger, subject, CONFIG)["lattice"])


def test_the_worst_there_may_be_is_bounded_over_all_that_were_tested() -> None:
    rows = _people(harm=0.0)
    measured = subgroup_findings(_tally(rows), CONFIG, seed=0).measurements
    assert decide(CHECK.id, Gate(metric="confirmed_subgroups", max=0), measured).status == "pass"
    [worst] = _find(measured, "worst_subgroup_accuracy")
    right = rows.with_columns(right=pl.col("label") == pl.col("predicted"))
    counts = [
        right.group_by(*chosen).agg(pl.col("right").sum(), n=pl.len())
        for chosen in (
            ["sex"],
            ["race"],
            ["age"],
            ["sex", "race"],
            ["sex", "age"],
            ["race", "age"],
            list(NAMES),
        )
    ]
    every = [(row["right"], row["n"]) for frame in counts for row in frame.iter_rows(named=True)]
    assert len(every) == 35
    assert worst.value == min(k / n for k, n in every)
    limits = [wilson(k, n, 1 - 0.05 / 35) for k, n in every]
    assert worst.low == pytest.approx(min(limit.low for limit in limits), abs=1e-12)
    assert worst.high == pytest.approx(min(limit.high for limit in limits), abs=1e-12)
    [gap] = _find(measured, "worst_subgroup_gap", rate="accuracy")
    assert gap.value is not None
    assert gap.high is not None
    assert 0 < gap.value < gap.high < 0.2
    assert decide(CHECK.id, Gate(metric="worst_subgroup_gap", max=0.01), measured).status == "inconclusive"


def test_order_and_shards_change_nothing() -> None:
    rows = _people()
    whole = subgroup_findings(_tally(rows), CONFIG, seed=3)
    mixed = subgroup_findings(_tally(rows.sample(fraction=1.0, shuffle=True, seed=1)), CONFIG, seed=3)
    parts = subgroup_findings(_tally(rows[:1000]) + _tally(rows[1000:]), CONFIG, seed=3)
    for other in (mixed, parts):
        assert other.measurements == whole.measurements
        assert other.evidence["lattice"].equals(whole.evidence["lattice"])
    assert subgroup_findings(_tally(rows), CONFIG, seed=4).measurements != whole.measurements


def test_the_table_says_what_became_of_every_subgroup() -> None:
    rows = _people()
    lattice = subgroup_findings(_tally(rows), CONFIG, seed=0).evidence["lattice"]
    accuracy = lattice.filter(metric="accuracy")
    assert accuracy.height == 35
    [story] = accuracy.filter(status="confirmed").iter_rows(named=True)
    assert (story["subgroup"], story["depth"]) == ("sex=F & race=B", 2)
    assert (story["level.sex"], story["level.race"], story["level.age"]) == ("F", "B", None)
    assert story["people"] == rows.filter(sex="F", race="B").height
    assert story["n"] < story["people"]
    assert story["gap"] == pytest.approx(story["value"] - story["rest"])
    assert story["gap_low"] < story["gap"] < story["gap_high"] < 0
    assert story["q"] < 0.05
    assert story["p_adjusted"] >= story["p"]
    explained = accuracy.filter(status="explained")
    assert set(explained["explained_by"]) == {"sex=F & race=B"}
    assert {"sex=F", "race=B", "sex=F & race=B & age=y"} <= set(explained["subgroup"])
    assert accuracy.filter(status="clear", subgroup="sex=M").height == 1
    drilled = accuracy.filter(pl.col("level.sex") == "F", pl.col("level.race") == "B", depth=3)
    assert set(drilled["level.age"]) == {"y", "o"}


def test_the_table_is_bounded_and_keeps_findings_and_single_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST_ROWS", 120)
    lattice = subgroup_findings(_tally(_people()), CONFIG, seed=0).evidence["lattice"]
    assert lattice.height == 120
    assert lattice.filter(status="confirmed", metric="accuracy")["subgroup"].to_list() == ["sex=F & race=B"]
    assert lattice.filter(depth=1, metric="selection_rate").height == 7


def test_unknown_people_and_single_people_are_never_a_finding() -> None:
    """Those not recorded, and one person of a race, get nothing but wrong answers."""
    rows = _people(harm=0.0).with_row_index()
    lost = pl.col("index") < 300
    rows = rows.with_columns(
        race=pl.when(lost).then(None).when(pl.col("index") == 300).then(pl.lit("X")).otherwise("race"),
        predicted=pl.when(pl.col("index") <= 300).then(1 - pl.col("label")).otherwise("predicted"),
    )
    found = subgroup_findings(_tally(rows), CONFIG, seed=0)
    lattice = found.evidence["lattice"]
    assert not lattice["subgroup"].str.contains("unknown").any()
    [alone] = lattice.filter(subgroup="race=X", metric="accuracy").iter_rows(named=True)
    assert (alone["status"], alone["people"]) == ("too_small", 1)
    assert lattice.filter(pl.col("level.race") == "X", pl.col("depth") > 1).is_empty()
    assert [m.value for m in _find(found.measurements, "confirmed_subgroups", rate="accuracy")] == [0]


def test_constant_attributes_and_equal_predictions_leave_nothing_to_compare() -> None:
    rows = _people(200).with_columns(sex=pl.lit("F"), race=pl.lit("B"), age=pl.lit("y"))
    found = subgroup_findings(_tally(rows), CONFIG, seed=0)
    for m in _find(found.measurements, "confirmed_subgroups"):
        assert m.value is None
        assert "no subgroup" in (m.reason or "")
    assert _find(found.measurements, "worst_subgroup_accuracy")[0].value is None
    assert found.evidence["lattice"].is_empty()
    assert (
        decide(CHECK.id, Gate(metric="confirmed_subgroups", max=0), found.measurements).status
        == "inconclusive"
    )
    equal = subgroup_findings(_tally(_people(400).with_columns(predicted=0)), CONFIG, seed=0).measurements
    [undefined] = _find(equal, "confirmed_subgroups", rate="positive_predictive_value")
    assert undefined.value is None
    assert [m.value for m in _find(equal, "confirmed_subgroups", rate="selection_rate")] == [0]


def test_without_labels_selections_and_without_a_positive_class_accuracy() -> None:
    rows = _people()
    blind = rows.with_columns(
        label=pl.lit(None, dtype=pl.Int64), predicted=(pl.col("sex") == "F").cast(pl.Int64)
    )
    selections = subgroup_findings(_tally(blind), CONFIG, seed=0).measurements
    assert {m.where["rate"] for m in selections if "rate" in m.where} == {"selection_rate"}
    assert _find(selections, "confirmed_subgroups")[0].value == 1
    right = subgroup_findings(_tally(rows, positive=None), CONFIG, seed=0).measurements
    assert {m.where["rate"] for m in right if "rate" in m.where} == {"accuracy"}
    [nothing] = subgroup_findings(_tally(blind, positive=None), CONFIG, seed=0).measurements
    assert nothing.value is None
    assert "positive class" in (nothing.reason or "")
    only = subgroup_findings(_tally(blind), SubgroupsConfig(metrics=("accuracy",)), seed=0).measurements
    assert "without labels" in (only[0].reason or "")


def test_rows_that_belong_together_are_refused_and_weights_are_not_used() -> None:
    rows = _people(800)
    repeated = rows.with_columns(cluster=(pl.int_range(pl.len()) // 2).cast(pl.String))
    [refused] = subgroup_findings(_tally(repeated), CONFIG, seed=0).measurements
    assert refused.value is None
    assert "no independent people" in (refused.reason or "")
    weighted = subgroup_findings(_tally(rows.with_columns(weight=pl.lit(2.5))), CONFIG, seed=0)
    assert weighted.measurements == subgroup_findings(_tally(rows), CONFIG, seed=0).measurements


def test_too_many_attributes_and_names_that_do_not_exist(make_echo: Echo) -> None:
    rows = pl.DataFrame(
        {f"a{i}": ["x", "y"] * 5 for i in range(7)} | {"label": [0, 1] * 5, "predicted": [0, 1] * 5}
    )
    names = tuple(f"a{i}" for i in range(7))
    with pytest.raises(UsageError, match="7 attributes are more than the 6"):
        subgroup_findings(_tally(rows, names), CONFIG, seed=0)
    subject = _subject(make_echo, rows, names)
    with pytest.raises(UsageError, match="7 attributes") as caught:
        CHECK.tasks(subject, CONFIG)
    assert "`columns`; there are a0, a1" in (caught.value.remedy or "")
    assert CHECK.tasks(subject, SubgroupsConfig(columns=names[:6]))
    with pytest.raises(UnknownNameError, match="group column 'a9'"):
        CHECK.tasks(subject, SubgroupsConfig(columns=("a9",)))
    six = subgroup_findings(_tally(rows, names), SubgroupsConfig(columns=names[:2]), seed=0)
    assert "level.a1" in six.evidence["lattice"].columns
    assert "level.a2" not in six.evidence["lattice"].columns


def test_it_counts_the_rows_of_fairness_groups(make_echo: Echo) -> None:
    subject = _subject(make_echo, _people(100))
    assert CHECK.tasks(subject, CONFIG) == Groups().tasks(subject, GroupsConfig())


def test_compas(data_home: Path) -> None:
    """COMPAS's own decile: Black people are called risky by mistake far more often."""
    scores = compas_scores(data_home / "compas" / "compas-scores-two-years.csv")
    rows = scores.select(
        "race",
        "sex",
        label=pl.col("two_year_recid").cast(pl.Int64),
        predicted=(pl.col("decile_score") >= 5).cast(pl.Int64),
    )
    found = subgroup_findings(_tally(rows, ("race", "sex")), CONFIG, seed=0)
    gaps = _find(found.measurements, "confirmed_gap", rate="false_positive_rate")
    assert any("race=African-American" in str(m.where["subgroup"]) for m in gaps)
    [row] = (
        found.evidence["lattice"]
        .filter(subgroup="race=African-American", metric="false_positive_rate")
        .iter_rows(named=True)
    )
    assert row["value"] == pytest.approx(0.4485, abs=0.04)
    assert row["status"] in {"confirmed", "explained"}
