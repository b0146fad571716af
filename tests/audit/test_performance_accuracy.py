"""`performance.accuracy` on planted logits, against scikit-learn, and on a real model."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from raiaudit.audit.check import Check, Task
from raiaudit.audit.ledger import Ledger
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.performance.accuracy import Accuracy, AccuracyConfig
from raiaudit.audit.performance.predictions import shards
from raiaudit.audit.statistics.intervals import wilson
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from raiaudit.audit.subject import Subject

Echo = Callable[..., "Subject"]
Run = Callable[..., Ledger]

CHECK = Accuracy()
CONFIG = AccuracyConfig()


def _planted(seed: int = 0, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=n, p=[0.6, 0.3, 0.1])
    return rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[labels], labels


def _by_metric(measured: list[Measurement]) -> dict[Any, Measurement]:
    return {(m.metric, m.where.get("class")): m for m in measured}


def test_it_is_a_check() -> None:
    assert isinstance(CHECK, Check)


def test_measurements_agree_with_scikit_learn(make_echo: Echo, run_check: Run) -> None:
    logits, labels = _planted()
    subject = make_echo(logits, labels, classes=("a", "b", "c"), groups={"sex": ["f", "m"] * 200})
    ledger = run_check(CHECK, subject, CONFIG)
    found = _by_metric(CHECK.summarise(ledger, subject, CONFIG))
    predicted = logits.argmax(1)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    accuracy = found["accuracy", None]
    assert accuracy.value == pytest.approx(sk.accuracy_score(labels, predicted))
    assert (accuracy.low, accuracy.high) == wilson(int((labels == predicted).sum()), 400)
    balanced = found["balanced_accuracy", None]
    assert balanced.value == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    assert found["log_loss", None].value == pytest.approx(sk.log_loss(labels, probabilities), rel=1e-5)
    for index, recall in enumerate(sk.recall_score(labels, predicted, average=None)):
        assert found["recall", "abc"[index]].value == pytest.approx(recall)


def test_two_classes_have_an_area_under_the_curve_that_saturated_answers_do_not_blunt(
    make_echo: Echo, run_check: Run
) -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 300)
    odds = rng.normal(60 + 2 * labels, 1.5)  # in float32 every probability is 1
    subject = make_echo(np.column_stack([np.zeros(300), odds]), labels, classes=("no", "yes"))
    ledger = run_check(CHECK, subject, CONFIG)
    auc = _by_metric(CHECK.summarise(ledger, subject, CONFIG))["auc", None]
    assert auc.value == pytest.approx(sk.roc_auc_score(labels, odds), abs=1e-4)
    assert auc.value is not None
    assert auc.low is not None
    assert auc.high is not None
    assert 0.5 < auc.low < auc.value < auc.high < 1


def test_three_classes_have_no_area_and_one_class_has_an_undefined_one(
    make_echo: Echo, run_check: Run
) -> None:
    logits, labels = _planted()
    three = make_echo(logits, labels, classes=("a", "b", "c"))
    assert ("auc", None) not in _by_metric(CHECK.summarise(run_check(CHECK, three, CONFIG), three, CONFIG))
    one = make_echo(np.zeros((9, 2)), np.zeros(9, dtype=np.int64), classes=("no", "yes"))
    auc = _by_metric(CHECK.summarise(run_check(CHECK, one, CONFIG), one, CONFIG))["auc", None]
    assert (auc.value, auc.low, auc.reason) == (None, None, "the audited examples are all of one class")


def test_rows_hold_what_other_summaries_join_on(make_echo: Echo, run_check: Run) -> None:
    logits, labels = _planted(n=50)
    subject = make_echo(logits, labels, classes=("a", "b", "c"), groups={"sex": ["f", "m"] * 25})
    rows = (
        run_check(CHECK, subject, CONFIG).scan("accuracy.label", "accuracy.predicted", "group.sex").collect()
    )
    assert rows["example_id"].to_list() == subject.test.ids.to_list()
    assert rows["accuracy.label"].to_list() == labels.tolist()
    assert rows["accuracy.predicted"].to_list() == logits.argmax(1).tolist()
    assert rows["group.sex"].to_list() == ["f", "m"] * 25


def test_evidence_counts_every_example_once(make_echo: Echo, run_check: Run) -> None:
    logits, labels = _planted()
    subject = make_echo(logits, labels, classes=("a", "b", "c"))
    evidence = CHECK.evidence(run_check(CHECK, subject, CONFIG), subject, CONFIG)
    expected = sk.confusion_matrix(labels, logits.argmax(1))
    for label, predicted, n in evidence["confusion"].rows():
        assert n == expected["abc".index(label), "abc".index(predicted)]
    assert evidence["confusion"]["n"].sum() == 400
    assert evidence["by_class"]["n"].to_list() == np.bincount(labels).tolist()


def test_an_absent_class_is_undefined_and_not_zero(make_echo: Echo, run_check: Run) -> None:
    subject = make_echo(np.eye(3)[[0, 1, 1]] * 4, [0, 1, 0], classes=("a", "b", "c"))
    found = _by_metric(CHECK.summarise(run_check(CHECK, subject, CONFIG), subject, CONFIG))
    for key in (("recall", "c"), ("balanced_accuracy", None)):
        assert found[key].value is None
        assert "no audited example" in (found[key].reason or "")
    assert found["recall", "b"].value == 1
    assert found["accuracy", None].value == pytest.approx(2 / 3)


def test_shards_add_up_to_the_whole(make_echo: Echo, run_check: Run) -> None:
    logits, labels = _planted(n=5000)
    subject = make_echo(logits, labels, classes=("a", "b", "c"))
    tasks = shards("x", 1, subject)
    assert [(task.params["start"], task.params["stop"]) for task in tasks] == [
        (0, 2048),
        (2048, 4096),
        (4096, 5000),
    ]
    found = _by_metric(CHECK.summarise(run_check(CHECK, subject, CONFIG), subject, CONFIG))
    assert found["accuracy", None].value == (logits.argmax(1) == labels).mean()


def test_extreme_logits_stay_finite(make_echo: Echo, run_check: Run) -> None:
    subject = make_echo([[1e5, 0.0], [0.0, 1e5]], [1, 1], classes=("a", "b"))
    found = _by_metric(CHECK.summarise(run_check(CHECK, subject, CONFIG), subject, CONFIG))
    assert found["log_loss", None].value == pytest.approx(5e4)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_model_that_answers_nan_is_named(make_echo: Echo, bad: float) -> None:
    subject = make_echo([[0.0, 1.0], [bad, 0.0]], [1, 1], classes=("a", "b"))
    [task] = CHECK.tasks(subject, CONFIG)
    with pytest.raises(CapabilityError, match="row/000001"):
        CHECK.execute(task, subject)


def test_a_confidence_asked_for_is_the_one_reported(make_echo: Echo, run_check: Run) -> None:
    logits, labels = _planted()
    subject = make_echo(logits, labels, classes=("a", "b", "c"))
    config = AccuracyConfig(confidence=0.99)
    measured = CHECK.summarise(run_check(CHECK, subject, config), subject, config)
    assert {m.confidence for m in measured} == {0.99}
    low, high = wilson(int((logits.argmax(1) == labels).sum()), 400, 0.99)
    assert (measured[0].low, measured[0].high) == (low, high)


def test_a_real_model_through_all_three_counting_checks(make_subject: Any, tmp_path: Path) -> None:
    """Digits: the rows of accuracy, calibration and fairness tell of the same predictions."""
    import torch

    from raiaudit.audit.fairness.by_group.groups import Groups, GroupsConfig
    from raiaudit.audit.reliability.calibration import Calibration, CalibrationConfig
    from raiaudit.models.architectures.mlp import MLP
    from raiaudit.models.data.digits import digits

    torch.manual_seed(0)
    dataset = digits()
    train = dataset.splits["train"]
    model = MLP.for_dataset(dataset)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    x, y = model.encode(train.inputs), torch.from_numpy(train.labels)
    model.train()
    for _ in range(60):
        optimizer.zero_grad()
        torch.autograd.backward(torch.nn.functional.cross_entropy(model(x), y))
        optimizer.step()
    subject = make_subject(model, dataset)
    plan: list[tuple[Check, Any]] = [
        (CHECK, CONFIG),
        (Calibration(), CalibrationConfig()),
        (Groups(), GroupsConfig()),
    ]
    ledger = Ledger(tmp_path)
    for check, config in plan:
        for task in check.tasks(subject, config):
            key = task.key(model_digest="0", data_digest="0", seed=0)
            ledger.append(task, key, check.execute(task, subject))
    measured = {m.label(): m for check, config in plan for m in check.summarise(ledger, subject, config)}
    accuracy = measured["accuracy"]
    assert accuracy.value is not None
    assert accuracy.value > 0.9
    assert accuracy.n == 500
    rows = ledger.scan("accuracy.correct", "calibration.correct", "group.stroke", "fairness.group.stroke")
    both = rows.collect()
    assert (both["accuracy.correct"] == both["calibration.correct"]).all()
    assert (both["group.stroke"] == both["fairness.group.stroke"]).all()
    by_group = both.group_by("group.stroke").agg(pl.col("accuracy.correct").mean())
    for group, value in by_group.rows():
        assert measured[f"accuracy (attribute=stroke, group={group})"].value == pytest.approx(value)


def test_tasks_are_plain_data(make_echo: Echo) -> None:
    logits, labels = _planted()
    subject = make_echo(logits, labels, classes=("a", "b", "c"))
    [task] = CHECK.tasks(subject, CONFIG)
    assert isinstance(task, Task)
    assert task.key(model_digest="m", data_digest="d", seed=0)
