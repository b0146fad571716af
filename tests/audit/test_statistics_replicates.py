"""Seeds and pairs against scipy, enumeration and null simulations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from raiaudit.audit.statistics.intervals import paired_difference
from raiaudit.audit.statistics.replicates import (
    exchange_test,
    holm,
    over_examples,
    over_seeds,
    paired_over_seeds,
)


def draw(seed: int, *, seeds: int = 5, examples: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes S×N of two recipes that are equally good on every example, whatever its difficulty."""
    rng = np.random.default_rng(seed)
    easy_N = rng.uniform(0.2, 1, examples)
    return rng.random((seeds, examples)) < easy_N, rng.random((seeds, examples)) < easy_N


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("values", [[0.91, 0.93], [0.9, 0.92, 0.95, 0.91, 0.97]])
def test_the_mean_over_seeds_is_scipys(values: list[float], confidence: float) -> None:
    found = over_seeds(values, confidence)
    expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    assert (found.mean, found.deviation) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_one_seed_has_no_spread_and_equal_seeds_no_interval() -> None:
    assert over_seeds([0.9]) == (1, 0.9, None, None, None)
    assert over_seeds([0.1 + 0.2, 0.3, 0.3])[2:] == (0.0, None, None)
    assert paired_over_seeds([0.9, 0.8], [0.8, 0.7])[1:] == (None, None, None)
    with pytest.raises(ValueError, match="shape"):
        over_seeds([])
    with pytest.raises(ValueError, match="shapes"):
        paired_over_seeds([1, 2], [1])
    with pytest.raises(ValueError, match="confidence"):
        over_seeds([1, 2], 1.0)


def test_the_paired_test_over_seeds_is_scipys() -> None:
    rng = np.random.default_rng(1)
    for seeds in (2, 3, 10):
        a, b = rng.normal(0.9, 0.02, seeds), rng.normal(0.89, 0.02, seeds)
        expected = stats.ttest_rel(a, b)
        interval = expected.confidence_interval(0.9)
        found = paired_over_seeds(a, b, 0.9)
        assert found == pytest.approx(((a - b).mean(), interval.low, interval.high, expected.pvalue))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_for_one_seed_the_exchange_test_is_mcnemars(pairs: list[tuple[bool, bool]]) -> None:
    a, b = np.array(pairs).T
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert exchange_test(a[None], b[None]) == pytest.approx(expected)
    found = over_examples(a[None], b[None], 0.9)
    assert (found.low, found.high) == pytest.approx(paired_difference(a, b, 0.9))


@pytest.mark.parametrize("seed", range(6))
def test_for_several_seeds_it_is_the_enumeration_of_all_exchanges(seed: int) -> None:
    a_SN, b_SN = draw(seed, seeds=3, examples=9)
    gains = a_SN.sum(0) * 1 - b_SN.sum(0)
    sums = [abs(np.dot(signs, gains)) for signs in itertools.product((-1, 1), repeat=len(gains))]
    assert exchange_test(a_SN, b_SN) == pytest.approx(np.mean(np.array(sums) >= abs(gains.sum())))


def test_it_stays_exact_far_out() -> None:
    """501 examples all won by one side: two of 2^501 exchanges are as extreme."""
    won, lost = np.ones((2, 501), bool), np.zeros((2, 501), bool)
    assert exchange_test(won, lost) == pytest.approx(2.0**-500, rel=1e-9)
    assert exchange_test(won, won) == 1.0


def test_under_the_null_no_level_is_exceeded() -> None:
    p_values = np.array([exchange_test(*draw(seed)) for seed in range(600)])
    for level in (0.05, 0.1, 0.3):
        assert (p_values <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / 600)
    assert p_values.min() < 0.02  # and it is not merely timid


def test_under_the_null_p_over_seeds_is_uniform() -> None:
    rng = np.random.default_rng(3)
    p_values = [paired_over_seeds(rng.normal(size=4), rng.normal(size=4)).p for _ in range(600)]
    assert stats.kstest(np.array(p_values, float), "uniform").pvalue > 0.01


def test_the_interval_over_examples_covers() -> None:
    """The truth: recipe a errs on 10 % of the examples b is right on, all seeds alike; a − b = −0.08."""
    rng, covered = np.random.default_rng(4), 0
    for _ in range(400):
        u_N = rng.random(200)
        a_SN = np.tile(u_N > 0.1, (3, 1))
        b_SN = np.tile(u_N > 0.02, (3, 1))
        low, high = over_examples(a_SN, b_SN)[1:3]
        assert low is not None
        assert high is not None
        covered += low <= -0.08 <= high
    # Had each seed's outcomes counted as new examples, it would be about 74 %.
    assert 0.92 <= covered / 400 <= 0.99


def test_nothing_observed_says_nothing() -> None:
    assert over_examples(np.ones((2, 0)), np.ones((2, 0))) == (0.0, -1.0, 1.0, 1.0)
    low, high = over_examples(np.ones((2, 50)), np.ones((2, 50)))[1:3]
    assert low is not None
    assert high is not None
    assert low < 0 < high
    with pytest.raises(ValueError, match="S×N"):
        over_examples([True], [True])


def test_holm() -> None:
    """The step-down by hand: 4·0.01, 3·0.02, 2·0.02 (kept from falling), 1·0.5."""
    assert holm([0.02, 0.5, 0.01, 0.02]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([None, 0.01]) == [None, pytest.approx(0.02)]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
