"""Intervals of proportions against scipy, published examples, and by exact or simulated coverage."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from scipy import stats

from raiaudit.audit.statistics.intervals import (
    Interval,
    average,
    clopper_pearson,
    difference,
    newcombe,
    paired_difference,
    ratio,
    wilson,
)

Proportion = Callable[[int, int, float], Interval]


@pytest.mark.parametrize(("ours", "theirs"), [(wilson, "wilson"), (clopper_pearson, "exact")])
@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 40), (1, 3), (17, 40), (40, 40), (9_999, 10_000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_proportion_agrees_with_scipy(
    ours: Proportion, theirs: str, k: int, n: int, confidence: float
) -> None:
    expected = stats.binomtest(k, n).proportion_ci(confidence, method=theirs)
    assert ours(k, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-10)


@pytest.mark.parametrize(
    ("interval", "mean", "worst"), [(wilson, 0.945, 0.85), (clopper_pearson, 0.95, 0.95)]
)
def test_proportion_covers(interval: Proportion, mean: float, worst: float) -> None:
    """Exact coverage for n = 30: the sum of binomial probabilities of the counts whose interval holds p."""
    n = 30
    limits = [interval(k, n, 0.95) for k in range(n + 1)]
    coverages = []
    for p in np.linspace(0.01, 0.99, 197):
        weights = stats.binom.pmf(np.arange(n + 1), n, p)
        coverages.append(sum(w for w, (low, high) in zip(weights, limits, strict=True) if low <= p <= high))
    assert np.mean(coverages) >= mean
    assert min(coverages) >= worst - 1e-9


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        # Newcombe 1998, table II, method 10.
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((6, 7, 2, 7), (0.0582, 0.8062)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((0, 10, 0, 20), (-0.1611, 0.2775)),
        ((10, 10, 0, 20), (0.6791, 1.0)),
    ],
)
def test_newcombe_gives_the_published_intervals(
    counts: tuple[int, int, int, int], expected: tuple[float, float]
) -> None:
    assert newcombe(*counts) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("p", "q", "m", "n"), [(0.2, 0.3, 40, 25), (0.02, 0.05, 60, 60), (0.95, 0.9, 30, 80)]
)
def test_newcombe_covers(p: float, q: float, m: int, n: int) -> None:
    """Exact coverage over all pairs of counts."""
    px, py = stats.binom.pmf(np.arange(m + 1), m, p), stats.binom.pmf(np.arange(n + 1), n, q)
    covered = 0.0
    for x, y in product(range(m + 1), range(n + 1)):
        if px[x] * py[y] > 1e-9:
            low, high = newcombe(x, m, y, n)
            covered += px[x] * py[y] * (low <= p - q <= high)
    assert 0.94 <= covered <= 0.985


def test_paired_difference_covers_and_is_narrower_than_unpaired_when_outcomes_agree() -> None:
    rng = np.random.default_rng(0)
    covered, runs, n = 0, 2000, 60
    for _ in range(runs):
        a = rng.random(n) < 0.8
        b = np.where(rng.random(n) < 0.15, ~a, a)
        low, high = paired_difference(a, b)
        covered += low <= 0.8 - (0.8 * 0.85 + 0.2 * 0.15) <= high
    assert covered / runs == pytest.approx(0.95, abs=0.02)
    a = rng.random(500) < 0.7
    paired, apart = paired_difference(a, a), newcombe(int(a.sum()), 500, int(a.sum()), 500)
    assert paired.high - paired.low < (apart.high - apart.low) / 5


def test_paired_difference_is_bonett_and_prices_formula() -> None:
    a = np.array([True] * 45 + [False] * 3 + [True] * 12 + [False] * 10)
    b = np.array([True] * 45 + [True] * 3 + [False] * 12 + [False] * 10)
    p, q, n = 13 / 72, 4 / 72, 72
    half = stats.norm.ppf(0.975) * math.sqrt((p + q - (p - q) ** 2) / n)
    assert paired_difference(a, b) == pytest.approx((p - q - half, p - q + half))
    low, high = paired_difference(b, a)
    assert (-high, -low) == pytest.approx(paired_difference(a, b))


def test_ratio_gives_koopmans_published_interval() -> None:
    assert ratio(36, 40, 16, 80) == pytest.approx((2.94, 7.15), abs=5e-3)


def test_ratio_bounds_are_where_the_constrained_score_test_rejects() -> None:
    """Pearson's χ² at the constrained maximum of the likelihood, found by brute force, is the quantile."""
    x, m, y, n = 7, 31, 12, 25
    for bound in ratio(x, m, y, n):
        q = np.linspace(1e-6, min(1, 1 / bound) - 1e-6, 2_000_001)
        loglik = (
            x * np.log(bound * q) + (m - x) * np.log1p(-bound * q) + y * np.log(q) + (n - y) * np.log1p(-q)
        )
        q = q[loglik.argmax()]
        chi2 = (x - m * bound * q) ** 2 / (m * bound * q * (1 - bound * q)) + (y - n * q) ** 2 / (
            n * q * (1 - q)
        )
        assert chi2 == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-3)


def test_ratio_covers() -> None:
    m, n, p, q = 35, 50, 0.15, 0.3
    px, py = stats.binom.pmf(np.arange(m + 1), m, p), stats.binom.pmf(np.arange(n + 1), n, q)
    covered = 0.0
    for x, y in product(range(m + 1), range(n + 1)):
        if px[x] * py[y] > 1e-6:
            low, high = ratio(x, m, y, n)
            covered += px[x] * py[y] * (low <= p / q <= high)
    assert covered == pytest.approx(0.95, abs=0.012)


def test_ratio_swaps_with_its_arguments() -> None:
    low, high = ratio(9, 40, 20, 44)
    assert ratio(20, 44, 9, 40) == pytest.approx((1 / high, 1 / low), rel=1e-9)


def test_nothing_observed_says_nothing() -> None:
    assert wilson(0, 0) == clopper_pearson(0, 0) == (0, 1)
    assert newcombe(0, 0, 3, 5) == (-1, 1)
    assert paired_difference(np.array([], bool), np.array([], bool)) == (-1, 1)
    assert ratio(0, 0, 1, 2) == ratio(0, 4, 0, 4) == (0, math.inf)
    assert ratio(3, 4, 0, 4).high == math.inf
    assert ratio(0, 4, 3, 4).low == 0


def test_average_of_one_and_difference_with_a_constant_keep_the_interval() -> None:
    limits = wilson(3, 11)
    assert average([3 / 11], [limits]) == pytest.approx(limits)
    assert difference(3 / 11, limits, 0.0, Interval(0.0, 0.0)) == pytest.approx(limits)


def test_average_covers_the_mean_of_several_proportions() -> None:
    rng = np.random.default_rng(1)
    p, n, runs = np.array([0.99, 0.9, 0.6, 0.97]), np.array([20, 35, 50, 25]), 3000
    counts = rng.binomial(n, p, size=(runs, 4))
    covered = 0
    for row in counts:
        limits = [wilson(int(k), int(m)) for k, m in zip(row, n, strict=True)]
        low, high = average((row / n).tolist(), limits)
        covered += low <= p.mean() <= high
    assert covered / runs == pytest.approx(0.955, abs=0.015)


@pytest.mark.parametrize(("k", "n", "confidence"), [(4, 3, 0.95), (-1, 3, 0.95), (1, 3, 1.0), (1, 3, 0.0)])
def test_impossible_arguments_are_refused(k: int, n: int, confidence: float) -> None:
    for interval in (wilson, clopper_pearson):
        with pytest.raises(ValueError, match=r"cannot be|confidence"):
            interval(k, n, confidence)


def test_unequal_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="paired"):
        paired_difference(np.array([True]), np.array([True, False]))
