"""Numbers of other checks by group: planted in a ledger, enumerated, and under the null."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from raiaudit.audit.check import Task
from raiaudit.audit.fairness.by_group.comparisons import widest_gap
from raiaudit.audit.fairness.by_group.groups import Groups, GroupsConfig
from raiaudit.audit.fairness.by_group.permutation import permutation_p_value
from raiaudit.audit.fairness.by_group.quantities import Quantity, mean_by_group, means_p_value
from raiaudit.audit.fairness.by_group.reporting import Reporter
from raiaudit.audit.ledger import Ledger
from raiaudit.audit.measurement import Measurement

if TYPE_CHECKING:
    from raiaudit.audit.subject import Subject

CHECK = Groups()


def _report() -> Reporter:
    return Reporter("c", "g", "a", 0.95, 0, 499, ())


def _find(measured: list[Measurement], metric: str, group: str | None = None) -> Measurement:
    [found] = [m for m in measured if m.metric == metric and m.where.get("group") == group]
    return found


def test_calibration_and_explanations_by_group(
    make_echo: Callable[..., Subject], run_check: Callable[..., Ledger]
) -> None:
    """Group b is over-confident by 0.2 more, and its explanations are no better than chance."""
    n = 200
    group, label = ["a", "b"] * 100, np.arange(n) // 2 % 2
    subject = make_echo(np.eye(2)[label] * 3, label, classes=("no", "yes"), groups={"g": group})
    config = GroupsConfig(permutations=499)
    ledger = run_check(CHECK, subject, config)
    rng = np.random.default_rng(0)
    of_b = np.array(group) == "b"
    rows = pl.DataFrame(
        {
            "example_id": subject.test.ids,
            "calibration.confidence": np.where(of_b, 0.9, 0.7),
            "calibration.correct": [True, True, False, False] * 50,
            "calibration.brier": rng.random(n),
            "attribution.random": np.where(of_b, 0.3, 0.5) + rng.normal(0, 0.02, n),
            "attribution.integrated_gradients.deletion": 0.3 + rng.normal(0, 0.02, n),
        }
    )
    task = Task(check="reliability.calibration", name="planted")
    ledger.append(task, task.key(model_digest="0", data_digest="0", seed=0), rows)
    measured = CHECK.summarise(ledger, subject, config)
    bias = _find(measured, "overconfidence_gap", "b")
    assert bias.value == pytest.approx(0.2)
    gain = _find(measured, "deletion_gain", "a")
    values = (rows["attribution.random"] - rows["attribution.integrated_gradients.deletion"]).filter(~of_b)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (gain.value, gain.low, gain.high) == pytest.approx((values.mean(), expected.low, expected.high))
    assert _find(measured, "deletion_gain_p_value").value == 1 / 500
    assert (_find(measured, "brier_score_p_value").value or 0) > 0.01
    assert not any(m.metric.startswith("insertion") for m in measured)


def test_means_are_shuffled_as_all_orders_are() -> None:
    parts = [np.array([3.0, 1.0, 2.5]), np.array([0.5, 4.0]), np.array([1.5, 1.0])]
    value_N = np.concatenate(parts)

    def width(order: Any) -> float:
        v = np.array(order)
        means = [v[:3].mean(), v[3:5].mean(), v[5:].mean()]
        return float(max(means) - min(means))

    orders = np.array([width(order) for order in permutations(value_N)])
    exact = float((orders >= width(value_N) - 1e-12).mean())
    p, draws = means_p_value(parts, rng=np.random.default_rng(0), draws=20_000)
    assert draws == 20_000
    assert p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / draws))


def test_fewer_draws_of_very_many_values() -> None:
    parts = [np.zeros(60_000), np.ones(60_000)]
    p, draws = means_p_value(parts, rng=np.random.default_rng(0), draws=9999)
    assert draws == 199
    assert p == 1 / 200


def test_gaps_of_means_cover() -> None:
    """Skewed values, unequal spread and size: the simultaneous interval of max − min."""
    rng, runs, covered = np.random.default_rng(1), 400, 0
    names = pl.Series(np.repeat(["a", "b", "c"], [80, 50, 120]))
    quantity = Quantity(("x",), "neither")
    report = Reporter("c", "g", "a", 0.95, 0, 199, ())
    for _ in range(runs):
        values = np.concatenate([rng.gamma(4, 0.25, 80), rng.normal(1.3, 0.1, 50), rng.normal(1, 1, 120)])
        found = _find(
            [m for m in _gaps_alone(report, names, values, quantity) if m.metric == "x_difference"],
            "x_difference",
        )
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.3 <= found.high
    assert covered / runs >= 0.93


def _gaps_alone(
    report: Reporter, names: pl.Series, values: np.ndarray, quantity: Quantity
) -> list[Measurement]:
    return mean_by_group(report, "x", names, values, quantity, 30)


def test_one_value_alone_has_no_interval() -> None:
    names, values = pl.Series(["a"] * 40 + ["b"]), np.arange(41.0)
    measured = mean_by_group(_report(), "x", names, values, Quantity(("x",), "lower"), 30)
    alone = _find(measured, "x", "b")
    assert (alone.value, alone.low, alone.reason) == (None, None, "only 1 of 30 needed measured examples")
    assert _find(measured, "x_difference").value is None
    assert widest_gap([[]], 0.95) is None


def test_a_billion_rows_are_drawn_as_normals() -> None:
    """Beyond numpy's hypergeometric: p is uniform under the null of the normal approximation's own making."""
    rng = np.random.default_rng(2)
    trials = np.array([600_000_000, 500_000_000, 2_000_000])
    p_values = [
        permutation_p_value([(rng.binomial(trials, 0.3).tolist(), trials.tolist())], rng=rng, draws=199)
        for _ in range(200)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    planted = (trials * [0.3, 0.3, 0.304]).astype(int).tolist()
    assert permutation_p_value([(planted, trials.tolist())], rng=rng, draws=199) == 1 / 200
