"""Clustered pairs: against enumeration, the unclustered methods where they hold, and simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, ttest_1samp

from raiaudit.audit.fairness.counterfactual.clustered import (
    effect_interval,
    mean_interval,
    share_interval,
)
from raiaudit.audit.statistics.intervals import wilson
from raiaudit.audit.statistics.sign_flips import sign_flip_p


@pytest.mark.parametrize("seed", range(8))
def test_the_sign_flip_p_value_is_the_share_of_all_sign_assignments(seed: int) -> None:
    net_C = np.random.default_rng(seed).integers(-9, 10, 10) * (1 + seed % 3)
    sums = [int(np.dot(signs, net_C)) for signs in product((-1, 1), repeat=10)]
    expected = np.mean([abs(total) >= abs(int(net_C.sum())) for total in sums])
    assert sign_flip_p(net_C) == pytest.approx(expected, abs=1e-12)


def test_of_single_pairs_it_is_the_exact_mcnemar_test() -> None:
    for gained, lost in ((0, 0), (0, 1), (3, 9), (400, 333), (0, 2500)):
        net_C = np.r_[np.ones(gained), -np.ones(lost), np.zeros(50)]
        expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
        assert sign_flip_p(net_C) == pytest.approx(expected, rel=1e-9)


def test_the_order_of_the_groups_and_of_the_clusters_does_not_matter() -> None:
    net_C = np.array([5, -1, 0, 3, 8])
    assert sign_flip_p(net_C) == sign_flip_p(-net_C) == sign_flip_p(net_C[::-1])


def _clusters(
    rng: np.random.Generator, clusters: int, pairs: int, rate: float, kinship: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Gained and lost pairs of beta-binomial clusters; either way is as likely."""
    more = (1 - kinship) / kinship
    changed_C = rng.binomial(pairs, rng.beta(rate * more, (1 - rate) * more, clusters))
    gained_C = rng.binomial(changed_C, rng.beta(0.5 * more, 0.5 * more, clusters))
    return gained_C, changed_C - gained_C


def test_under_the_null_the_clustered_test_keeps_its_level_and_mcnemar_does_not() -> None:
    rng, runs = np.random.default_rng(3), 1000
    clustered, naive = 0, 0
    for _ in range(runs):
        gained_C, lost_C = _clusters(rng, 11, 60, 0.3, 0.3)
        clustered += sign_flip_p(gained_C - lost_C) <= 0.05
        naive += sign_flip_p(np.r_[np.ones(gained_C.sum()), -np.ones(lost_C.sum())]) <= 0.05
    assert clustered / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert naive / runs > 0.3


@pytest.mark.parametrize(
    ("clusters", "pairs", "rate", "kinship"), [(11, 20, 0.05, 0.3), (11, 200, 0.2, 0.05), (40, 20, 0.3, 0.3)]
)
def test_intervals_cover_where_the_percentile_bootstrap_of_clusters_falls_short(
    clusters: int, pairs: int, rate: float, kinship: float
) -> None:
    rng, runs = np.random.default_rng(4), 400
    covered = {"share": 0, "effect": 0, "bootstrap": 0}
    pairs_C = np.full(clusters, pairs)
    for _ in range(runs):
        gained_C, lost_C = _clusters(rng, clusters, pairs, rate, kinship)
        low, high = share_interval(gained_C + lost_C, pairs_C)
        covered["share"] += low <= rate <= high
        low, high = effect_interval(gained_C, lost_C, pairs_C)
        covered["effect"] += low <= 0 <= high
        drawn_BC = rng.integers(clusters, size=(200, clusters))
        low, high = np.quantile((gained_C + lost_C)[drawn_BC].mean(axis=1) / pairs, [0.025, 0.975])
        covered["bootstrap"] += low <= rate <= high
    slack = 3 * np.sqrt(0.05 * 0.95 / runs)
    assert covered["share"] / runs >= 0.95 - slack
    assert covered["effect"] / runs >= 0.95 - slack
    assert covered["bootstrap"] < covered["share"]


def test_of_single_pairs_the_share_has_wilsons_interval() -> None:
    changed_C = np.r_[np.ones(7), np.zeros(93)]
    assert share_interval(changed_C, np.ones(100), 0.9) == pytest.approx(wilson(7, 100, 0.9), abs=1e-12)


def test_without_a_change_the_bound_is_that_of_as_many_clusters() -> None:
    nothing_C, pairs_C = np.zeros(12), np.full(12, 50)
    assert share_interval(nothing_C, pairs_C) == pytest.approx(wilson(0, 12), abs=1e-12)
    low, high = effect_interval(nothing_C, nothing_C, pairs_C)
    assert -low == pytest.approx(high, abs=1e-12)
    assert high == pytest.approx(wilson(0, 12).high, abs=1e-12)


def test_identical_pairs_in_a_cluster_count_once() -> None:
    """Every pair written ten times says no more than once."""
    changed_C = np.r_[np.ones(30), np.zeros(70)]
    once = share_interval(changed_C, np.ones(100))
    tenfold = share_interval(10 * changed_C, np.full(100, 10))
    assert tenfold.low <= once.low + 0.01
    assert tenfold.high >= once.high - 0.01


def test_an_effect_of_single_pairs_covers_when_it_is_there() -> None:
    rng, runs, covered = np.random.default_rng(5), 600, 0
    for _ in range(runs):
        outcome_C = rng.choice(3, 80, p=[0.7, 0.25, 0.05])
        low, high = effect_interval(outcome_C == 1, outcome_C == 2, np.ones(80))
        covered += low <= 0.2 <= high
    assert covered / runs >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / runs)


def test_a_mean_of_single_pairs_has_the_t_interval() -> None:
    values_C = np.random.default_rng(6).normal(0.3, 1, 25)
    expected = ttest_1samp(values_C, 0).confidence_interval(0.95)
    interval = mean_interval(values_C, np.ones(25))
    assert interval is not None
    assert interval == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert mean_interval(values_C[:1], np.ones(1)) is None
