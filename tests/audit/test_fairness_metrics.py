"""Rates on cells against fairlearn and scikit-learn; the published COMPAS table; Chouldechova's identity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fairlearn import metrics as fl
from sklearn import metrics as sk

from raiaudit.audit.fairness.by_group.comparisons import gaps_to_reference, smallest_of_ratios, widest_gap
from raiaudit.audit.fairness.by_group.metrics import DIFFERENCES, RATES, Confusion, Counts, recalls, right
from raiaudit.audit.fairness.by_group.values import GroupValue, area, proportion
from raiaudit.audit.fairness.counting.cells import Axis, Cells
from raiaudit.audit.statistics.intervals import newcombe
from raiaudit.models.data.compas import compas_scores

GROUPS = ("a", "b", "c")


def _rows(n: int = 900, classes: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    group = rng.choice(3, n, p=[0.5, 0.35, 0.15])
    label = rng.integers(classes, size=n)
    predicted = np.where(rng.random(n) < 0.55 + 0.1 * group, label, rng.integers(classes, size=n))
    return group, label, predicted


def _cells(group: np.ndarray, label: np.ndarray, predicted: np.ndarray, classes: int = 2) -> Cells:
    names = tuple(map(str, range(classes)))
    axes = (Axis("group", GROUPS), Axis("label", names), Axis("predicted", names))
    return Cells.count(axes, [group, label, predicted])


def _values(counts: Counts, groups: tuple[str, ...] = GROUPS, minimum: int = 1) -> list[GroupValue]:
    return [
        proportion(group, int(k), int(n), minimum=minimum, condition="examples")
        for group, k, n in zip(groups, counts.successes, counts.trials, strict=True)
    ]


def test_rates_agree_with_fairlearn() -> None:
    group, label, predicted = _rows()
    confusion = Confusion.of(_cells(group, label, predicted).counts, positive=1)
    theirs = {
        "selection_rate": fl.selection_rate,
        "true_positive_rate": fl.true_positive_rate,
        "false_positive_rate": fl.false_positive_rate,
        "true_negative_rate": fl.true_negative_rate,
        "false_negative_rate": fl.false_negative_rate,
        "positive_predictive_value": sk.precision_score,
        "negative_predictive_value": lambda y, p: sk.precision_score(y, p, pos_label=0),
        "false_discovery_rate": lambda y, p: 1 - sk.precision_score(y, p),
        "false_omission_rate": lambda y, p: 1 - sk.precision_score(y, p, pos_label=0),
        "false_negative_share": lambda y, p: ((y == 1) & (p == 0)).sum() / (y != p).sum(),
    }
    assert theirs.keys() == RATES.keys()
    frame = fl.MetricFrame(metrics=theirs, y_true=label, y_pred=predicted, sensitive_features=group)
    for name, rate in RATES.items():
        successes, trials = rate.counts(confusion)
        assert (successes / trials).tolist() == pytest.approx(frame.by_group[name].tolist()), name


def test_differences_and_ratio_agree_with_fairlearn() -> None:
    group, label, predicted = _rows()
    confusion = Confusion.of(_cells(group, label, predicted).counts, positive=1)
    theirs = {
        "demographic_parity_difference": fl.demographic_parity_difference,
        "equal_opportunity_difference": fl.equal_opportunity_difference,
        "equalized_odds_difference": fl.equalized_odds_difference,
    }
    for name, function in theirs.items():
        widest = widest_gap([_values(RATES[rate].counts(confusion)) for rate in DIFFERENCES[name]], 0.95)
        assert widest is not None
        expected = function(label, predicted, sensitive_features=group)
        assert widest.value == pytest.approx(expected)
        assert widest.low <= widest.value <= widest.high
    selected, n = RATES["selection_rate"].counts(confusion)
    ratio = smallest_of_ratios([list(zip(GROUPS, selected.tolist(), n.tolist(), strict=True))], 0.95)
    assert ratio is not None
    expected = fl.demographic_parity_ratio(label, predicted, sensitive_features=group)
    assert ratio.value == pytest.approx(expected)


def test_one_class_against_the_rest_agrees_with_a_binary_problem() -> None:
    group, label, predicted = _rows(classes=4)
    many = Confusion.of(_cells(group, label, predicted, classes=4).counts, positive=2)
    two = Confusion.of(
        _cells(group, (label == 2).astype(np.int64), (predicted == 2).astype(np.int64)).counts, positive=1
    )
    for ours, expected in zip(many, two, strict=True):
        assert ours.tolist() == expected.tolist()


def test_accuracy_and_recalls_agree_with_scikit_learn() -> None:
    group, label, predicted = _rows(classes=4)
    counts = _cells(group, label, predicted, classes=4).counts
    hit, n = right(counts)
    hit_GK, n_GK = recalls(counts)
    for index in range(3):
        mine = group == index
        assert hit[index] / n[index] == pytest.approx(sk.accuracy_score(label[mine], predicted[mine]))
        expected = sk.recall_score(label[mine], predicted[mine], average=None)
        assert (hit_GK[index] / n_GK[index]).tolist() == pytest.approx(expected.tolist())


def test_rates_pass_replicates_through() -> None:
    cells = _cells(*_rows())
    drawn = cells.resample(np.random.default_rng(0), 5)
    successes, trials = RATES["true_positive_rate"].counts(Confusion.of(drawn, 1))
    assert successes.shape == trials.shape == (5, 3)
    one = RATES["true_positive_rate"].counts(Confusion.of(drawn[3], 1))
    assert one.successes.tolist() == successes[3].tolist()


def test_false_positive_rate_follows_from_prevalence_as_chouldechova_shows() -> None:
    """FPR = p/(1−p) · (1−PPV)/PPV · (1−FNR), arXiv:1610.07524, eq. 2.6."""
    confusion = Confusion.of(_cells(*_rows()).counts, 1)
    rate = {name: np.divide(*entry.counts(confusion)) for name, entry in RATES.items()}
    labelled = confusion.tp + confusion.fn
    odds = labelled / (confusion.fp + confusion.tn)
    precision, miss = rate["positive_predictive_value"], rate["false_negative_rate"]
    expected = odds * (1 - precision) / precision * (1 - miss)
    assert rate["false_positive_rate"].tolist() == pytest.approx(expected.tolist(), abs=1e-12)


@pytest.fixture
def decile(data_home: Path) -> pl.DataFrame:
    """The whole two-year file; a decile of 5 or more counts as a prediction of recidivism."""
    scores = compas_scores(data_home / "compas" / "compas-scores-two-years.csv")
    return scores.with_columns(predicted=(pl.col("decile_score") >= 5).cast(pl.Int64))


def test_compas_by_race(decile: pl.DataFrame) -> None:
    """Larson et al., ProPublica 2016: the confusion counts of the 7,214 rows, and what follows."""
    race = Axis.of("race", decile["race"])
    names = ("0", "1")
    cells = Cells.count(
        [race, Axis("label", names), Axis("predicted", names)],
        [race.codes(decile["race"]), decile["two_year_recid"].to_numpy(), decile["predicted"].to_numpy()],
    )
    assert cells.counts.sum() == 7214
    confusion = Confusion.of(cells.counts, 1)
    black, white = race.levels.index("African-American"), race.levels.index("Caucasian")
    assert [int(part[black]) for part in confusion] == [1369, 805, 532, 990]
    assert [int(part[white]) for part in confusion] == [505, 349, 461, 1139]
    published = {
        "false_positive_rate": (0.4485, 0.2345),
        "false_negative_rate": (0.2799, 0.4772),
        "positive_predictive_value": (0.6297, 0.5913),
    }
    for name, expected in published.items():
        successes, trials = RATES[name].counts(confusion)
        found = successes[[black, white]] / trials[[black, white]]
        assert found.tolist() == pytest.approx(expected, abs=5e-5)
    pair = ("African-American", "Caucasian")
    gaps = {}
    for name in ("false_positive_rate", "positive_predictive_value"):
        counts = Counts(*(part[[black, white]] for part in RATES[name].counts(confusion)))
        [gaps[name]] = gaps_to_reference(_values(counts, pair), "Caucasian", 0.95)
    gap = gaps["false_positive_rate"]
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.2139, 0.182, 0.245), abs=6e-4)
    assert (gap.low, gap.high) == pytest.approx(newcombe(805, 1795, 349, 1488))
    gap = gaps["positive_predictive_value"]
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.0384, -0.00004, 0.077), abs=3e-4)


def test_compas_ranks_both_races_equally_well(decile: pl.DataFrame) -> None:
    for race, expected in (("African-American", 0.692), ("Caucasian", 0.693)):
        mine = decile.filter(race=race)
        label, score = mine["two_year_recid"].to_numpy(), mine["decile_score"].to_numpy()
        value = area(race, score[label == 1], score[label == 0], minimum=1, sides=("p", "n")).value
        assert value == pytest.approx(expected, abs=5e-4)
        assert value == pytest.approx(sk.roc_auc_score(label, score))
