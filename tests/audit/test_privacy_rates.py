"""Membership rates against enumeration, scipy, and simulated nulls."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from raiaudit.audit.privacy.inference.rates import (
    advantage,
    histogram,
    roc,
    threshold_at_fpr,
    tpr_at_fpr,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_cell_with_too_few_false_positives_is_refused() -> None:
    """Half of the non-members set the threshold: 99 at 10 % expect 9.9, 100 expect 10."""
    scores = np.arange(400.0)
    refused, why = tpr_at_fpr(scores, scores[:199], 0.1, rng())
    assert refused is None
    assert "a pool of 200 non-members" in why
    granted, why = tpr_at_fpr(scores, scores[:200], 0.1, rng())
    assert granted is not None
    assert why == ""


def test_the_rates_are_those_counted_above_the_threshold() -> None:
    """Members far above, far below: TPR 0.3 with scipy's exact interval, whoever set the threshold."""
    inside = np.concatenate([np.full(30, 100.0), np.full(70, -100.0)])
    cell, _ = tpr_at_fpr(inside, rng(1).normal(size=400), 0.1, rng())
    assert cell is not None
    assert cell.tpr == 0.3
    exact = stats.binomtest(30, 100).proportion_ci(0.95, method="exact")
    assert cell.tpr_interval == pytest.approx((exact.low, exact.high))
    assert cell.n_out == 200


def test_the_threshold_keeps_its_rate_on_examples_it_never_saw() -> None:
    """Null scores, 400 repetitions: TPR and realised FPR average to the rate asked for, or just below."""
    cells = []
    for seed in range(400):
        draws = rng(seed)
        cell, _ = tpr_at_fpr(draws.normal(size=200), draws.normal(size=400), 0.1, draws)
        assert cell is not None
        cells.append(cell)
    for rate in (np.mean([cell.tpr for cell in cells]), np.mean([cell.fpr for cell in cells])):
        assert 0.09 < rate < 0.105


@pytest.mark.parametrize(
    ("members", "others", "fpr", "shift"),
    [(1000, 2000, 0.01, 1.0), (200, 400, 0.1, 0.0), (20, 200, 0.1, 1.0), (1000, 20000, 0.001, 2.0)],
)
def test_the_interval_covers_the_tpr_at_the_rate_asked_for(
    members: int, others: int, fpr: float, shift: float
) -> None:
    """Normal scores, whose ROC is known; 300 repetitions, at most 4 standard errors below 95 %.

    The members' luck alone covers 60 % of the first and 64 % of the last.
    """
    true, covered, repetitions = float(stats.norm.sf(stats.norm.isf(fpr) - shift)), 0, 300
    draws = rng(11)
    for _ in range(repetitions):
        cell, _ = tpr_at_fpr(draws.normal(shift, 1, members), draws.normal(size=others), fpr, draws)
        assert cell is not None
        assert cell.tpr_interval.low <= cell.tpr <= cell.tpr_interval.high
        covered += cell.tpr_interval.low <= true <= cell.tpr_interval.high
    assert covered / repetitions > 0.95 - 4 * (0.95 * 0.05 / repetitions) ** 0.5


@pytest.mark.parametrize("share_tied", [0.0, 0.9])
def test_the_possible_thresholds_hold_the_right_one_whatever_is_tied(share_tied: float) -> None:
    """Scores on 40 levels, most perhaps at the lowest; 300 repetitions: above `strictest` alarms are at most,
    from `loosest` on at least as frequent as was asked for, each but for 2.5 % and simulation error.
    """
    weights = np.exp(-np.arange(40) / 6.0)
    weights *= (1 - share_tied) / weights.sum()
    weights[0] += share_tied
    from_on = np.cumsum(weights[::-1])[::-1]
    too_strict = too_loose = 0
    for seed in range(300):
        draws = rng(seed)
        scores = draws.choice(40, 1000, p=weights).astype(float)
        found, _ = threshold_at_fpr(scores, 0.05, draws)
        assert found is not None
        assert found.loosest <= found.value <= found.strictest
        too_loose += from_on[int(found.loosest)] < 0.05
        too_strict += from_on[int(found.strictest)] - weights[int(found.strictest)] > 0.05
    assert max(too_loose, too_strict) / 300 < 0.025 + 4 * (0.025 / 300) ** 0.5


def test_a_tie_that_no_threshold_divides_does_not_widen_the_interval() -> None:
    """Nine of ten others share the lowest score with all members but 30: no threshold accuses 10 %, the next
    best one finds the 30.
    """
    inside = np.concatenate([np.full(30, 5.0), np.zeros(270)])
    outside = np.concatenate([rng(1).uniform(1, 4, 60), np.zeros(940)])
    cell, _ = tpr_at_fpr(inside, outside, 0.1, rng())
    assert cell is not None
    exact = stats.binomtest(30, 300).proportion_ci(0.95, method="exact")
    assert cell.tpr_interval == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize("shift", [-0.5, 3.0])
def test_the_interval_is_one_of_rates(shift: float) -> None:
    """Few members found, and nearly all."""
    for seed in range(50):
        draws = rng(seed)
        cell, _ = tpr_at_fpr(draws.normal(shift, 1, 100), draws.normal(size=2000), 0.01, draws)
        assert cell is not None
        assert 0 <= cell.tpr_interval[0] <= cell.tpr <= cell.tpr_interval[1] <= 1


def test_ties_never_raise_the_rate() -> None:
    """All scores equal: nobody lies above the threshold, instead of everybody."""
    cell, _ = tpr_at_fpr(np.zeros(50), np.zeros(300), 0.1, rng())
    assert cell is not None
    assert (cell.tpr, cell.fpr) == (0, 0)


def test_advantage_is_total_for_separated_scores_and_null_for_equal_ones() -> None:
    split = advantage(np.arange(100, 140.0), np.arange(40.0), rng())
    assert split is not None
    assert (split.value, split.n) == (1, 40)
    values = []
    covered = 0
    for seed in range(300):
        draws = rng(seed)
        found = advantage(draws.normal(size=80), draws.normal(size=80), draws)
        assert found is not None
        values.append(found.value)
        covered += found.interval.low <= 0 <= found.interval.high
    assert abs(np.mean(values)) < 0.02  # choosing and judging on the same half would give about 0.1
    assert covered / 300 > 0.92


def test_the_roc_goes_through_counted_points() -> None:
    draws = rng(3)
    inside, outside = draws.normal(1, 1, 300), draws.normal(0, 1, 2000)
    curve = roc(inside, outside)
    assert curve.height <= 200
    assert curve.row(0)[0] == 0
    assert curve.row(-1)[:2] == (1, 1)
    ordered = np.sort(outside)[::-1]
    for fpr, tpr, low, high in curve.rows():
        count = round(fpr * 2000)
        threshold = ordered[count] if count < 2000 else -np.inf
        assert tpr == (inside > threshold).mean()
        assert low <= tpr <= high
    assert (np.diff(curve["fpr"].to_numpy()) > 0).all()


def test_the_histogram_loses_nobody() -> None:
    draws = rng(4)
    table = histogram(draws.standard_cauchy(500), draws.standard_cauchy(400))
    counts = {member: part["count"].sum() for (member,), part in table.group_by("member")}
    assert counts == {True: 500, False: 400}
    assert histogram(np.zeros(5), np.zeros(4))["count"].sum() == 9
