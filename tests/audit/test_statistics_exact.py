"""Exact tests against scipy and enumeration; power by simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.special import comb

from raiaudit.audit.statistics.exact import fisher_exact, widest_gap_exact
from raiaudit.audit.statistics.power import examples_needed, minimum_detectable_gap


@pytest.mark.parametrize(
    "table",
    [(8, 10, 3, 12), (0, 5, 5, 5), (1, 30, 0, 2), (50, 500, 80, 400), (805, 1795, 349, 1488), (0, 9, 0, 4)],
)
def test_fisher_agrees_with_scipy(table: tuple[int, int, int, int]) -> None:
    x, m, y, n = table
    expected = stats.fisher_exact([[x, m - x], [y, n - y]]).pvalue
    assert fisher_exact(*table) == pytest.approx(expected, rel=1e-6)


def test_fisher_of_hundreds_of_millions_is_the_normal_test() -> None:
    m, n = 400_000_000, 300_000_000
    x, y = 120_000_000, 90_030_000
    pooled = (x + y) / (m + n)
    z = (x / m - y / n) / np.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n))
    assert fisher_exact(x, m, y, n) == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-2)


def _by_enumeration(strata: list[tuple[list[int], list[int]]]) -> float:
    """Every table with the totals seen, weighed by the number of allocations behind it."""

    def width(counts: tuple[int, ...], trials: list[int]) -> float:
        rates = [k / n for k, n in zip(counts, trials, strict=True)]
        return max(rates) - min(rates)

    tables, seen = [], 0.0
    for successes, trials in strata:
        seen = max(seen, width(tuple(successes), trials))
        every = [
            (width(counts, trials), np.prod([comb(n, k) for k, n in zip(counts, trials, strict=True)]))
            for counts in product(*(range(n + 1) for n in trials))
            if sum(counts) == sum(successes)
        ]
        tables.append(every)
    wide = total = 0.0
    for chosen in product(*tables):
        ways = np.prod([weight for _, weight in chosen])
        total += ways
        wide += ways * (max(width for width, _ in chosen) >= seen - 1e-12)
    return wide / total


@pytest.mark.parametrize(
    "strata",
    [
        [([3, 0, 2], [4, 3, 5])],
        [([1, 1], [3, 9])],
        [([2, 2, 1, 0], [2, 3, 4, 3])],
        [([3, 1], [4, 5]), ([0, 2], [2, 3])],
        [([2, 2], [4, 4])],
    ],
)
def test_widest_gap_agrees_with_enumeration(strata: list[tuple[list[int], list[int]]]) -> None:
    assert widest_gap_exact(strata) == pytest.approx(_by_enumeration(strata), abs=1e-12)


def test_widest_gap_is_valid_under_the_null_and_finds_a_planted_one() -> None:
    rng, n = np.random.default_rng(0), [15, 20, 25]
    null = [widest_gap_exact([(rng.binomial(n, 0.3).tolist(), n)]) for _ in range(200)]
    planted = [widest_gap_exact([(rng.binomial(n, [0.2, 0.2, 0.8]).tolist(), n)]) for _ in range(50)]
    assert np.mean(np.array(null) <= 0.1) <= 0.1 + 3 * np.sqrt(0.09 / 200)
    assert np.mean(null) > 0.4
    assert np.mean(np.array(planted) <= 0.05) > 0.9


def test_the_gap_said_to_be_detectable_is_detected_four_times_in_five() -> None:
    rng, q, m, n = np.random.default_rng(1), 0.3, 120, 900
    gap = minimum_detectable_gap(q, m, n)
    assert gap is not None
    x, y = rng.binomial(m, q + gap, 4000), rng.binomial(n, q, 4000)
    pooled = (x + y) / (m + n)
    z = (x / m - y / n) / np.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n))
    assert np.mean(np.abs(z) > stats.norm.ppf(0.975)) == pytest.approx(0.8, abs=0.03)


def test_examples_needed_is_the_textbook_number() -> None:
    """30 % against 40 %: 356 of each (Fleiss, Levin and Paik, table A.3 without continuity correction)."""
    assert examples_needed(0.3, 0.1) == 356
    assert minimum_detectable_gap(0.3, 356, 356) == pytest.approx(0.1, abs=2e-4)


def test_a_gap_that_cannot_be_detected_is_none() -> None:
    assert minimum_detectable_gap(0.5, 2, 1000) is None
    with pytest.raises(ValueError, match="no rate lies"):
        examples_needed(0.5, 0.0)
