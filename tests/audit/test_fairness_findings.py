"""`groups_findings` of any tally: no labels, weights, bad input, thousands of groups; verdicts and power."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from fairlearn import metrics as fl
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, precision_score

from raiaudit.audit.fairness.by_group import pairs
from raiaudit.audit.fairness.by_group.attribute import reporter
from raiaudit.audit.fairness.by_group.findings import groups_findings
from raiaudit.audit.fairness.by_group.groups import GroupsConfig
from raiaudit.audit.fairness.by_group.metrics import RATES, Confusion, Counts
from raiaudit.audit.fairness.by_group.pairs import Limited, gap_bounds, ratio_bounds
from raiaudit.audit.fairness.by_group.reporting import strata_of
from raiaudit.audit.fairness.by_group.support import group_values
from raiaudit.audit.fairness.counting.tally import Tally
from raiaudit.audit.fairness.findings import Findings
from raiaudit.audit.gates import Gate, decide
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.score_intervals import wilson_limits
from raiaudit.models.data.compas import compas_scores

CONFIG = GroupsConfig(permutations=199)


def _findings(rows: dict[str, Any], config: GroupsConfig = CONFIG, *attributes: str) -> Findings:
    tally = Tally.of(pl.DataFrame(rows), attributes=attributes or ["g"], classes=("no", "yes"), positive=1)
    return groups_findings(tally, config, seed=0)


def _find(measured: list[Measurement], metric: str, **where: Any) -> Measurement:
    [found] = [
        m for m in measured if m.metric == metric and all(m.where.get(key) == v for key, v in where.items())
    ]
    return found


def _binary(n: int = 600, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    group, label = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2]), rng.integers(2, size=n)
    right = rng.random(n) < np.where(group == "c", 0.65, 0.85)
    return {"g": group.tolist(), "label": label, "predicted": np.where(right, label, 1 - label)}


def _all_sound(findings: Findings) -> None:
    """Nothing silent: what has no value has a reason, and intervals hold their values."""
    for m in findings.measurements:
        assert m.value is not None or m.reason
        if m.value is not None and m.low is not None and m.high is not None:
            assert m.low - 1e-9 <= m.value <= m.high + 1e-9, m.label()
    for table in findings.evidence.values():
        for column in table.select(pl.selectors.float()):
            assert not column.is_nan().any()


def test_more_metrics_agree_with_other_libraries() -> None:
    rows = _binary()
    group, label, predicted = np.array(rows["g"]), rows["label"], rows["predicted"]
    measured = _findings(rows).measurements
    tpr, fpr = (
        {g: f(label[group == g], predicted[group == g]) for g in "abc"}
        for f in (fl.true_positive_rate, fl.false_positive_rate)
    )
    for g in "abc":
        mine = group == g
        expected = balanced_accuracy_score(label[mine], predicted[mine])
        assert _find(measured, "balanced_accuracy", group=g).value == pytest.approx(expected)
        errors = (label[mine] == 1) & (predicted[mine] == 0), (label[mine] == 0) & (predicted[mine] == 1)
        ratio = _find(measured, "error_ratio", group=g)
        assert ratio.value == pytest.approx(errors[0].sum() / errors[1].sum())
    odds = _find(measured, "average_odds_gap", group="c", reference="a")
    assert odds.value == pytest.approx((tpr["c"] - tpr["a"] + fpr["c"] - fpr["a"]) / 2)
    expected = fl.equalized_odds_ratio(label, predicted, sensitive_features=group)
    assert _find(measured, "equalized_odds_ratio").value == pytest.approx(expected)


def test_without_labels_selection_is_answered_and_the_rest_undefined() -> None:
    rows = {**_binary(), "label": [None] * 600, "score": np.linspace(0, 1, 600)}
    findings = _findings(rows)
    _all_sound(findings)
    defined = {m.metric for m in findings.measurements if m.value is not None}
    assert defined == {
        *("selection_rate", "selection_rate_gap", "selection_rate_gap_p_value", "minimum_detectable_gap"),
        *("demographic_parity_difference", "demographic_parity_p_value", "impact_ratio"),
    }
    expected = fl.demographic_parity_ratio([0] * 600, rows["predicted"], sensitive_features=rows["g"])
    assert _find(findings.measurements, "impact_ratio").value == pytest.approx(expected)
    assert _find(findings.measurements, "equalized_odds_difference").reason == "the examples have no labels"
    assert set(findings.evidence["counts"].columns) == {"attribute", "group", "predicted", "n"}


@pytest.mark.parametrize("columns", [("weight",), ("cluster",), ("weight", "cluster")])
def test_weights_and_clusters_reach_every_metric(columns: tuple[str, ...]) -> None:
    """Every person twice: the values stay, the tests and intervals know that nothing was added."""
    once = _binary()
    rows = {
        **{name: np.concatenate([values, values]) for name, values in once.items()},
        "weight": np.full(1200, 0.5),
        "cluster": np.concatenate([np.arange(600)] * 2),
        "score": np.tile(np.linspace(0, 1, 600), 2),
    }
    rows = {name: rows[name] for name in ("g", "label", "predicted", "score", *columns)}
    findings = _findings(rows)
    _all_sound(findings)
    plain = _findings({**once, "score": np.linspace(0, 1, 600)}).measurements
    for m in findings.measurements:
        if m.metric in {"accuracy", "true_positive_rate_gap", "balanced_accuracy", "auc", "impact_ratio"}:
            other = _find(plain, m.metric, **m.where)
            assert m.value == pytest.approx(other.value)
            if m.metric == "balanced_accuracy" and "cluster" in columns:
                # The same people may be behind both rates: the interval may only be wider.
                assert m.low is not None
                assert other.low is not None
                assert other.low - 0.05 < m.low < other.low
            elif "cluster" in columns:
                assert (m.low, m.high) == pytest.approx((other.low, other.high), abs=0.02)
    assert _find(findings.measurements, "accuracy", group="a").n == 2 * _find(plain, "accuracy", group="a").n


BAD: dict[str, tuple[list[Any], list[int], list[int]]] = {
    "a group of one": (["a"] * 60 + ["b"] * 60 + ["c"], [0, 1] * 60 + [1], [0, 1] * 60 + [0]),
    "no positives in a group": (["a"] * 60 + ["b"] * 60, [0, 1] * 30 + [0] * 60, [0, 1] * 60),
    "all predictions equal": (["a"] * 60 + ["b"] * 60, [0, 1] * 60, [1] * 120),
    "missing groups": (["a"] * 50 + [None] * 20 + ["b"] * 50, [0, 1] * 60, [0, 1] * 60),
    "nobody's group is known": ([None] * 80, [0, 1] * 40, [0, 1] * 40),
    "all in one group": (["a"] * 80, [0, 1] * 40, [1, 1] * 40),
    "one example": (["a"], [1], [0]),
    "no example": ([], [], []),
    "always wrong": (["a"] * 40 + ["b"] * 40, [0, 1] * 40, [1, 0] * 40),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("more", ["", "weight", "cluster"])
def test_bad_input_is_right_or_undefined_with_a_reason(case: str, more: str) -> None:
    group, label, predicted = BAD[case]
    n = len(group)
    columns: dict[str, Any] = {
        "g": pl.Series(group, dtype=pl.String),
        "label": pl.Series(label, dtype=pl.Int64),
        "predicted": pl.Series(predicted, dtype=pl.Int64),
        "score": pl.Series(np.full(n, 0.5)),
    }
    if more:
        columns[more] = pl.Series(np.arange(n) + 1.0)
    findings = _findings(columns)
    _all_sound(findings)
    parity = _find(findings.measurements, "demographic_parity_difference")
    if case in {"all in one group", "nobody's group is known", "one example", "no example"}:
        assert parity.value is None
        assert "fewer than two groups can be compared" in (parity.reason or "")
    if case == "all predictions equal":
        assert parity.value == 0
        assert parity.high is not None
        assert parity.high > 0.05
        assert _find(findings.measurements, "negative_predictive_value", group="a").value is None
    if case == "no positives in a group":
        assert _find(findings.measurements, "equal_opportunity_difference").value is None
        missing = _find(findings.measurements, "true_positive_rate", group="b")
        assert missing.reason == "no examples labelled positive"


def test_thousands_of_groups_report_the_widest_and_say_so() -> None:
    """The group that differs is among those shown; all are in the table; the summary says how many."""
    rng, groups = np.random.default_rng(0), 400
    group = np.repeat(np.arange(groups), 60)
    predicted = (rng.random(len(group)) < np.where(group == 123, 0.9, 0.3)).astype(int)
    rows = {
        "g": [f"g{g:03d}" for g in group],
        "label": rng.integers(2, size=len(group)),
        "predicted": predicted,
    }
    findings = _findings(rows, GroupsConfig(permutations=199, most_groups=20))
    shown = {m.where["group"] for m in findings.measurements if m.metric == "selection_rate"}
    assert len(shown) == 20
    assert "g123" in shown
    assert findings.evidence["by_group"].filter(metric="selection_rate").height == groups
    parity = _find(findings.measurements, "demographic_parity_difference")
    assert "highest g123" in (parity.reason or "")
    assert "400 groups, the 20 with the widest gaps listed" in (parity.reason or "")
    assert parity.low is not None
    assert parity.low > 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_bounds_of_many_groups_are_those_of_all_pairs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    n = rng.integers(20, 900, 150).astype(float)
    x = np.maximum(1, rng.binomial(n.astype(int), rng.beta(6, 9, 150))).astype(float)
    groups = Limited(x / n, *wilson_limits(x, n, 0.9999))
    quick = (*gap_bounds(groups), *ratio_bounds(x, n, 0.9999))
    monkeypatch.setattr(pairs, "_FEW", 1000)
    whole = (*gap_bounds(groups), *ratio_bounds(x, n, 0.9999))
    assert quick == pytest.approx(whole, rel=1e-9)


def test_an_inconclusive_gate_says_how_many_examples_would_decide() -> None:
    """And with that many of the same mix it does."""

    def difference(times: int) -> Measurement:
        rows = {
            "g": ["a"] * 80 * times + ["b"] * 60 * times,
            "label": [1] * 140 * times,
            "predicted": [1] * 48 * times + [0] * 32 * times + [1] * 33 * times + [0] * 27 * times,
        }
        return _find(_findings(rows).measurements, "demographic_parity_difference")

    gate = Gate(metric="demographic_parity_difference", max=0.15)
    verdict = decide("fairness.groups", gate, [difference(1)])
    assert verdict.status == "inconclusive"
    text = verdict.explanation
    assert "the smallest group has 60 examples: about " in text
    needed = int(text.split("about ")[1].split(",")[0])
    assert 100 < needed < 300
    assert decide("fairness.groups", gate, [difference(math.ceil(needed / 60))]).status == "pass"


def test_each_class_against_the_rest_agrees_with_fairlearn() -> None:
    rng = np.random.default_rng(4)
    group, label = rng.choice(["a", "b"], 500), rng.integers(3, size=500)
    predicted = np.where(rng.random(500) < 0.7, label, rng.integers(3, size=500))
    rows = pl.DataFrame({"g": group, "label": label, "predicted": predicted})
    tally = Tally.of(rows, attributes=["g"], classes=("x", "y", "z"), positive=None)
    measured = groups_findings(tally, CONFIG, seed=0).measurements
    for k, name in enumerate(tally.classes):
        y, p = label == k, predicted == k
        expected = fl.demographic_parity_difference(y, p, sensitive_features=group)
        assert _find(measured, "selection_rate_difference", **{"class": name}).value == pytest.approx(
            expected
        )
        expected = fl.equal_opportunity_difference(y, p, sensitive_features=group)
        found = _find(measured, "true_positive_rate_difference", **{"class": name})
        assert found.value == pytest.approx(expected)
    for g in "ab":
        mine = group == g
        expected = precision_score(label[mine], predicted[mine], average="macro")
        assert _find(measured, "macro_precision", group=g).value == pytest.approx(expected)


@pytest.mark.parametrize("column", ["weight", "cluster"])
def test_tests_of_weighted_rows_and_of_people_are_valid_under_the_null(column: str) -> None:
    """200 attributes without any effect: by effective numbers p is uniform or larger, by rows it is not."""
    rng, samples, people = np.random.default_rng(5), 200, 300
    each = 6 if column == "cluster" else 1
    chance = np.repeat(rng.beta(1, 1.5, people), each) if column == "cluster" else np.full(people, 0.4)
    extra = np.repeat(np.arange(people), each) if column == "cluster" else rng.choice([0.2, 5.0], people)
    honest: list[Any] = []
    naive: list[Any] = []
    for _ in range(samples):
        predicted = (
            rng.random(people * each) < rng.permutation(chance.reshape(people, each)).ravel()
        ).astype(int)
        group = np.repeat(rng.choice(["a", "b"], people), each)
        rows = pl.DataFrame({"g": group, "label": 0, "predicted": predicted, column: extra})
        for kept, found in ((rows, honest), (rows.drop(column), naive)):
            tally = Tally.of(kept, attributes=["g"], classes=("no", "yes"), positive=1)
            report = reporter(tally, "g", check="c", confidence=0.95, seed=0, permutations=99)
            values = group_values(tally.sample("g"), _selected, minimum=1, condition="examples")
            found.append(report.p_value("p", strata_of([values]), [values]).value)
    assert stats.kstest(honest, "uniform", alternative="greater").pvalue > 0.01
    assert np.mean(np.array(honest) <= 0.2) > 0.08
    if column == "cluster":
        assert np.mean(np.array(naive) <= 0.05) > 0.1


def _selected(counts: Any) -> Counts:
    return RATES["selection_rate"].counts(Confusion.of(counts, 1))


def test_minimum_detectable_gap_names_the_smallest_group() -> None:
    found = _find(_findings(_binary()).measurements, "minimum_detectable_gap", rate="selection_rate")
    assert found.value is not None
    assert 0.1 < found.value < 0.3
    assert "smallest group compared: c" in (found.reason or "")
    assert "a gap of 0.1 would show with" in (found.reason or "")


def test_gap_p_values_are_fishers_adjusted_by_holm() -> None:
    rows = _binary()
    group, predicted = np.array(rows["g"]), rows["predicted"]
    findings = _findings(rows)
    table = {g: [int(predicted[group == g].sum()), int((1 - predicted[group == g]).sum())] for g in "abc"}
    plain = {g: stats.fisher_exact([table[g], table["a"]]).pvalue for g in "bc"}
    first, last = sorted(plain, key=lambda g: plain[g])
    expected = {first: min(1, 2 * plain[first])}
    expected[last] = max(expected[first], plain[last])
    for g in "bc":
        found = _find(findings.measurements, "selection_rate_gap_p_value", group=g)
        assert found.value == pytest.approx(expected[g])
    gaps = findings.evidence["gaps"].filter(metric="selection_rate_gap")
    assert gaps["p_value"].to_list() == pytest.approx([expected["b"], expected["c"]])


def test_compas_as_a_file(data_home: Path) -> None:
    """Two races: the published gaps with Newcombe's intervals and Fisher's p, without any model."""
    scores = compas_scores(data_home / "compas" / "compas-scores-two-years.csv")
    rows = scores.filter(pl.col("race").is_in(["African-American", "Caucasian"])).select(
        "race",
        label=pl.col("two_year_recid").cast(pl.Int64),
        predicted=(pl.col("decile_score") >= 5).cast(pl.Int64),
        score=pl.col("decile_score") / 10,
    )
    tally = Tally.of(rows, attributes=["race"], classes=("no", "yes"), positive=1)
    measured = groups_findings(tally, CONFIG, seed=0).measurements
    gap = _find(measured, "false_positive_rate_gap", group="Caucasian")
    assert (gap.value, gap.low, gap.high) == pytest.approx((-0.2139, -0.245, -0.182), abs=6e-4)
    p = _find(measured, "false_positive_rate_gap_p_value", group="Caucasian")
    assert p.value == pytest.approx(5e-38, rel=0.02)
    gap = _find(measured, "positive_predictive_value_gap", group="Caucasian")
    assert (gap.value, gap.low, gap.high) == pytest.approx((-0.0384, -0.077, 0.00004), abs=3e-4)
    assert _find(measured, "predictive_parity_p_value").value == pytest.approx(0.051, abs=1e-3)
    areas = [_find(measured, "auc", group=race).value for race in ("African-American", "Caucasian")]
    assert areas == pytest.approx([0.692, 0.693], abs=5e-4)
