"""`fairness.groups` end to end through a ledger: COMPAS, planted bias, bad input, other checks' columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from raiaudit.audit.catalogue import CHECKS
from raiaudit.audit.check import Check, Task
from raiaudit.audit.fairness.by_group.groups import Groups, GroupsConfig
from raiaudit.audit.gates import Gate, decide
from raiaudit.audit.ledger import Ledger
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.intervals import newcombe, wilson
from raiaudit.errors import UnknownNameError, UsageError
from raiaudit.models.data.compas import compas_scores

if TYPE_CHECKING:
    from raiaudit.audit.subject import Subject

Echo = Callable[..., "Subject"]
Run = Callable[..., Ledger]

CHECK = Groups()
CONFIG = GroupsConfig(permutations=499)
TWO = ("no", "yes")


def _find(measured: list[Measurement], metric: str, **where: Any) -> Measurement:
    [found] = [
        m for m in measured if m.metric == metric and all(m.where.get(key) == v for key, v in where.items())
    ]
    return found


def _value(measured: list[Measurement], metric: str, **where: Any) -> float:
    value = _find(measured, metric, **where).value
    assert value is not None
    return value


def _binary(predicted: Any) -> np.ndarray:
    """Logits that predict exactly these classes."""
    return np.asarray(np.eye(2)[np.asarray(predicted)] * 3)


def test_it_is_a_check() -> None:
    assert isinstance(CHECK, Check)


def test_compas_through_the_check(make_echo: Echo, run_check: Run, data_home: Path) -> None:
    """COMPAS's own decile as the model of the whole file: its published rates, and a gate on them."""
    scores = compas_scores(data_home / "compas" / "compas-scores-two-years.csv")
    margin = scores["decile_score"].to_numpy() - 4.5
    subject = make_echo(
        np.stack([np.zeros_like(margin), margin], axis=1),
        scores["two_year_recid"].to_numpy(),
        classes=("no recidivism", "recidivism"),
        groups={"race": scores["race"].to_list(), "sex": scores["sex"].to_list()},
    )
    measured = CHECK.summarise(run_check(CHECK, subject, CONFIG), subject, CONFIG)
    black, white = ({"attribute": "race", "group": name} for name in ("African-American", "Caucasian"))
    assert _value(measured, "false_positive_rate", **black) == pytest.approx(0.4485, abs=5e-5)
    assert _value(measured, "false_positive_rate", **white) == pytest.approx(0.2345, abs=5e-5)
    assert _value(measured, "false_negative_rate", **white) == pytest.approx(0.4772, abs=5e-5)
    assert _value(measured, "auc", **black) == pytest.approx(0.692, abs=5e-4)
    gap = _find(measured, "false_positive_rate_gap", **white)
    assert gap.where["reference"] == "African-American"
    assert gap.value == pytest.approx(-0.2139, abs=5e-5)
    plain = newcombe(349, 1488, 805, 1795)
    assert gap.low is not None
    assert gap.high is not None
    assert gap.low < plain.low < plain.high < gap.high < -0.15  # simultaneous over four gaps: wider
    odds = _find(measured, "equalized_odds_difference", attribute="race")
    assert "Native American: only" in (odds.reason or "")
    gate = Gate(metric="equalized_odds_difference", where={"attribute": "race"}, max=0.1)
    assert decide(CHECK.id, gate, measured).status == "fail"
    assert _value(measured, "equalized_odds_p_value", attribute="race") == 1 / 500


def test_values_of_a_planted_bias(make_echo: Echo, run_check: Run) -> None:
    """Men: 40 of 50 selected; women: 10 of 40. Every number by hand."""
    sex = ["m"] * 50 + ["f"] * 40
    label = [1] * 30 + [0] * 20 + [1] * 30 + [0] * 10
    predicted = [1] * 30 + [1] * 10 + [0] * 10 + [1] * 10 + [0] * 30
    subject = make_echo(_binary(predicted), label, classes=TWO, groups={"sex": sex})
    config = GroupsConfig(min_group=10, permutations=999)
    measured = CHECK.summarise(run_check(CHECK, subject, config), subject, config)
    assert _value(measured, "selection_rate", group="m") == 0.8
    assert _value(measured, "selection_rate", group="f") == 0.25
    assert _value(measured, "demographic_parity_difference") == pytest.approx(0.55)
    assert _value(measured, "equal_opportunity_difference") == pytest.approx(2 / 3)
    assert _value(measured, "equalized_odds_difference") == pytest.approx(2 / 3)
    assert _value(measured, "impact_ratio") == pytest.approx(0.25 / 0.8)
    assert _value(measured, "true_positive_rate_gap", group="f", reference="m") == pytest.approx(-2 / 3)
    fisher = stats.fisher_exact([[40, 10], [10, 30]]).pvalue
    assert _value(measured, "demographic_parity_p_value") == pytest.approx(fisher, rel=1e-9)
    rate = _find(measured, "selection_rate", group="f")
    assert (rate.low, rate.high, rate.n, rate.better) == (*wilson(10, 40), 40, "neither")


def test_a_group_without_positives_is_undefined_and_no_gap(make_echo: Echo, run_check: Run) -> None:
    """A perfect model: a metric that calls the missing rate 0 would report the widest gap there is."""
    group = ["a"] * 100 + ["b"] * 100 + ["c"] * 60
    label = [0, 1] * 100 + [0] * 60
    subject = make_echo(_binary(label), label, classes=TWO, groups={"g": group})
    measured = CHECK.summarise(run_check(CHECK, subject, CONFIG), subject, CONFIG)
    missing = _find(measured, "true_positive_rate", group="c")
    assert (missing.value, missing.low, missing.n) == (None, None, 0)
    assert missing.reason == "no examples labelled positive"
    odds = _find(measured, "equalized_odds_difference")
    assert odds.value == 0
    assert odds.high is not None
    assert 0 < odds.high < 0.2
    assert "c: no examples labelled positive" in (odds.reason or "")
    assert _find(measured, "auc", group="c").value is None


def test_one_group_and_equal_predictions_are_undefined_with_a_reason(make_echo: Echo, run_check: Run) -> None:
    subject = make_echo(_binary([0] * 80), [0, 1] * 40, classes=TWO, groups={"g": ["a"] * 79 + ["b"]})
    measured = CHECK.summarise(run_check(CHECK, subject, CONFIG), subject, CONFIG)
    for metric in ("demographic_parity_difference", "demographic_parity_p_value", "accuracy_difference"):
        found = _find(measured, metric)
        assert found.value is None
        assert "fewer than two groups" in (found.reason or "")
        assert "b: only 1 of 30 needed examples" in (found.reason or "")
    assert "selection rate is 0" in (_find(measured, "impact_ratio").reason or "")
    assert _find(measured, "positive_predictive_value", group="a").value is None
    gate = Gate(metric="demographic_parity_difference", max=0.1)
    assert decide(CHECK.id, gate, measured).status == "inconclusive"


def test_unknown_people_are_counted_and_decide_nothing(make_echo: Echo, run_check: Run) -> None:
    group = ["a"] * 60 + ["b"] * 60 + ["unknown"] * 200
    predicted = [0, 1] * 60 + [1] * 200
    subject = make_echo(_binary(predicted), [0, 1] * 160, classes=TWO, groups={"g": group})
    measured = CHECK.summarise(run_check(CHECK, subject, CONFIG), subject, CONFIG)
    rate = _find(measured, "selection_rate", group="unknown")
    assert (rate.value, rate.n, rate.reason) == (1, 200, "not recorded")
    assert _value(measured, "demographic_parity_difference") == 0
    assert {m.where["reference"] for m in measured if "reference" in m.where} == {"a"}


def test_many_classes_without_a_positive_one(make_echo: Echo, run_check: Run) -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=600)
    group = np.where(rng.random(600) < 0.5, "a", "b")
    predicted = np.where((group == "b") & (rng.random(600) < 0.5), (label + 1) % 3, label)
    subject = make_echo(np.eye(3)[predicted], label, classes=("x", "y", "z"), groups={"g": group.tolist()})
    ledger = run_check(CHECK, subject, CONFIG)
    measured = CHECK.summarise(ledger, subject, CONFIG)
    assert {m.metric for m in measured} == {
        *("accuracy", "accuracy_gap", "accuracy_difference", "accuracy_p_value"),
        *("macro_recall", "macro_recall_gap", "macro_recall_difference", "macro_recall_p_value"),
        *("macro_precision", "macro_precision_difference", "accuracy_gap_p_value"),
        *("selection_rate_difference", "true_positive_rate_difference"),
    }
    assert "fairness.score" not in ledger.columns()
    mine = group == "b"
    recalls = [(predicted == label)[mine & (label == k)].mean() for k in range(3)]
    assert _value(measured, "macro_recall", group="b") == pytest.approx(np.mean(recalls))
    assert _value(measured, "accuracy_p_value") < 1e-6
    assert _value(measured, "macro_recall_p_value") == 1 / 500


def test_one_class_against_the_rest(make_echo: Echo, run_check: Run) -> None:
    rng = np.random.default_rng(1)
    label, group = rng.integers(3, size=300), rng.choice(["a", "b"], 300)
    logits = rng.normal(size=(300, 3)) + np.eye(3)[label]
    subject = make_echo(logits, label, classes=("x", "y", "z"), groups={"g": group.tolist()})
    config = GroupsConfig(positive="y", permutations=99)
    measured = CHECK.summarise(run_check(CHECK, subject, config), subject, config)
    mine = group == "a"
    selected = (logits.argmax(1) == 1)[mine].mean()
    assert _value(measured, "selection_rate", group="a") == pytest.approx(selected)
    probability = np.exp(logits)[:, 1] / np.exp(logits).sum(1)
    expected = roc_auc_score(label[mine] == 1, probability[mine])
    assert _value(measured, "auc", group="a") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (GroupsConfig(columns=("sexx",)), r"group column 'sexx'[\s\S]*did you mean 'sex'"),
        (GroupsConfig(positive="yess"), r"class 'yess'[\s\S]*did you mean 'yes'"),
    ],
)
def test_names_that_do_not_exist(make_echo: Echo, config: GroupsConfig, message: str) -> None:
    subject = make_echo(_binary([0, 1]), [0, 1], classes=TWO, groups={"sex": ["m", "f"]})
    with pytest.raises(UnknownNameError, match=message):
        CHECK.tasks(subject, config)


def test_only_the_columns_asked_for(make_echo: Echo, run_check: Run) -> None:
    groups = {"sex": ["m", "f"] * 50, "race": ["a"] * 50 + ["b"] * 50}
    subject = make_echo(_binary([0, 1] * 50), [0, 1] * 50, classes=TWO, groups=groups)
    config = GroupsConfig(columns=("race",), permutations=99)
    ledger = run_check(CHECK, subject, config)
    assert {m.where["attribute"] for m in CHECK.summarise(ledger, subject, config)} == {"race"}


def test_summary_repeats_itself(make_echo: Echo, run_check: Run) -> None:
    rng = np.random.default_rng(3)
    subject = make_echo(
        rng.normal(size=(200, 2)), rng.integers(2, size=200), classes=TWO, groups={"g": ["a", "b"] * 100}
    )
    ledger = run_check(CHECK, subject, CONFIG)
    assert CHECK.summarise(ledger, subject, CONFIG) == CHECK.summarise(ledger, subject, CONFIG)


def test_evidence_tables(make_echo: Echo, run_check: Run) -> None:
    rng = np.random.default_rng(4)
    group, label = rng.choice(["a", "b", "c"], 400), rng.integers(2, size=400)
    predicted = rng.integers(2, size=400)
    subject = make_echo(_binary(predicted), label, classes=TWO, groups={"g": group.tolist()})
    ledger = run_check(CHECK, subject, CONFIG)
    tables = CHECK.evidence(ledger, subject, CONFIG)
    measured = CHECK.summarise(ledger, subject, CONFIG)
    [row] = tables["by_group"].filter(metric="selection_rate", group="b").iter_rows(named=True)
    expected = _find(measured, "selection_rate", group="b")
    assert (row["value"], row["low"], row["high"], row["n"]) == (
        expected.value,
        expected.low,
        expected.high,
        expected.n,
    )
    assert tables["gaps"]["reference"].null_count() == 0
    counts = tables["counts"]
    assert counts["n"].sum() == 400
    here = counts.filter(group="a", label="yes", predicted="no")["n"].item()
    assert here == ((group == "a") & (label == 1) & (predicted == 0)).sum()


def _append(ledger: Ledger, check: str, frame: pl.DataFrame) -> None:
    task = Task(check=check, name="planted")
    ledger.append(task, task.key(model_digest="0", data_digest="0", seed=0), frame)


def test_robust_accuracy_by_group(make_echo: Echo, run_check: Run) -> None:
    """Clean predictions are perfect; under attack one group loses half of its examples."""
    group = ["a", "b"] * 150
    subject = make_echo(_binary([0, 1] * 150), [0, 1] * 150, classes=TWO, groups={"g": group})
    ledger = run_check(CHECK, subject, CONFIG)
    broken = [g == "b" and index % 4 == 1 for index, g in enumerate(group)]
    rows = pl.DataFrame(
        {
            "example_id": subject.test.ids[:200],
            "evasion.linf-0.1-pgd.broken": broken[:200],
            "evasion.linf-0.1-pgd.clean_broken": [False] * 200,
            "evasion.l2-1e-05-brendel-bethge.broken": [False] * 200,
        }
    )
    _append(ledger, "robustness.evasion", rows)
    measured = CHECK.summarise(ledger, subject, CONFIG)
    threat = {"norm": "linf", "eps": 0.1, "attack": "pgd"}
    assert _value(measured, "robust_accuracy", group="a", **threat) == 1
    worst = _find(measured, "robust_accuracy", group="b", **threat)
    assert (worst.value, worst.n) == (0.5, 100)
    assert (worst.low, worst.high) == wilson(50, 100)
    assert _value(measured, "robust_accuracy_difference", **threat) == 0.5
    fisher = stats.fisher_exact([[100, 0], [50, 50]]).pvalue
    assert _value(measured, "robust_accuracy_p_value", **threat) == pytest.approx(fisher, rel=1e-9)
    other = _find(measured, "robust_accuracy_difference", attack="brendel-bethge")
    assert (other.value, other.where["eps"], other.where["norm"]) == (0, 1e-5, "l2")
    assert len([m for m in measured if m.metric == "robust_accuracy_difference"]) == 2
    table = CHECK.evidence(ledger, subject, CONFIG)["by_group"].filter(metric="robust_accuracy")
    assert set(table["slice"]) == {"linf 0.1 pgd", "l2 1e-05 brendel-bethge"}


def test_membership_risk_by_group(make_echo: Echo, run_check: Run) -> None:
    """The loss gives members of one group away and says nothing about the other."""
    rng = np.random.default_rng(5)
    subject = make_echo(_binary([0, 1] * 50), [0, 1] * 50, classes=TWO, groups={"g": ["a", "b"] * 50})
    ledger = run_check(CHECK, subject, CONFIG)
    member, group = rng.random(400) < 0.5, rng.choice(["a", "b"], 400)
    score = rng.normal(size=400) + 2.0 * (member & (group == "b"))
    rows = pl.DataFrame(
        {
            "example_id": [f"pool/{index}" for index in range(400)],
            "membership.member": member,
            "membership.loss.score": score,
            "membership.group.g": group,
        }
    )
    _append(ledger, "privacy.membership", rows)
    measured = CHECK.summarise(ledger, subject, CONFIG)
    for name in ("a", "b"):
        mine = group == name
        found = _find(measured, "membership_auc", group=name, attack="loss")
        assert found.value == pytest.approx(roc_auc_score(member[mine], score[mine]))
        assert found.better == "lower"
    difference = _find(measured, "membership_auc_difference", attack="loss")
    assert difference.low is not None
    assert difference.low > 0.2
    assert _value(measured, "accuracy", group="a") == 1  # the pool's rows are no test examples
    assert _find(measured, "accuracy", group="a").n == 50


@pytest.mark.parametrize("name", ["weight", "score", "label", "n", "example_id"])
@pytest.mark.parametrize("check", ["fairness.groups", "fairness.subgroups", "fairness.profiles"])
def test_a_column_named_as_one_of_the_tables_is_refused_by_name_and_the_others_go_on(
    name: str, check: str, make_echo: Any, run_check: Any
) -> None:
    rng = np.random.default_rng(0)
    groups = {name: rng.choice(["a", "b"], 60).tolist(), "sex": rng.choice(["f", "m"], 60).tolist()}
    subject = make_echo(
        rng.normal(size=(60, 2)), rng.integers(2, size=60), classes=("no", "yes"), groups=groups
    )
    one = CHECKS[check]
    with pytest.raises(UsageError, match=f"cannot be called '{name}'"):
        one.tasks(subject, one.Config())
    config = one.Config.model_validate({"columns": ["sex"]})
    found = one.summarise(run_check(one, subject, config), subject, config)
    assert found
    assert {m.where["attribute"] for m in found if "attribute" in m.where} <= {"sex"}
