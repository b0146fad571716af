"""ε from independent trials: seldom above the truth, as promised, and close to it with many trials."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from raiaudit.audit.privacy.epsilon.bounds import (
    epsilon_by_grid,
    epsilon_by_split,
    epsilon_lower,
    power_cap,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

AUDITS = 2000
ALLOWED = 0.05 + 3 * (0.05 * 0.95 / AUDITS) ** 0.5  # a rate of 5 % and the error of the simulation
GRID = np.linspace(-3, 3, 7)


@pytest.mark.parametrize(("n", "shown"), [(100, 3.3), (1_000, 5.6), (10_000, 7.9)])
def test_a_perfect_attack_shows_what_the_number_of_trials_allows(n: int, shown: float) -> None:
    certain = 0.025 ** (1 / n)  # the p at which n of n has probability 2.5 %
    assert power_cap(n, n) == pytest.approx(math.log(certain / (1 - certain)))
    assert power_cap(n, n) == pytest.approx(shown, abs=0.05)


@pytest.mark.parametrize(
    ("tp", "fp", "delta"), [(90, 5, 0.0), (60, 20, 0.01), (99, 100, 0.0), (80, 150, 0.0)]
)
def test_the_bound_is_that_of_the_exact_intervals(tp: int, fp: int, delta: float) -> None:
    """Two one-sided limits at 2.5 % are the ends of two-sided 95 % intervals, which SciPy has."""
    hit = stats.binomtest(tp, 100).proportion_ci(0.95, method="exact")
    alarm = stats.binomtest(fp, 200).proportion_ci(0.95, method="exact")
    ratios = [(hit.low - delta) / alarm.high, (1 - alarm.high - delta) / (1 - hit.low), 1]
    assert epsilon_lower(tp, 100, fp, 200, delta=delta) == pytest.approx(math.log(max(ratios)))


@pytest.mark.parametrize("counts", [(101, 5), (-1, 5), (50, 201)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="counts beyond"):
        epsilon_lower(counts[0], 100, counts[1], 200)
    with pytest.raises(ValueError, match="a split needs"):
        epsilon_by_split(np.zeros(1), np.zeros(5), rng=np.random.default_rng(0))


def split(in_M: NDArray[np.float64], out_N: NDArray[np.float64], rng: np.random.Generator) -> float:
    return epsilon_by_split(in_M, out_N, rng=rng)


def grid(in_M: NDArray[np.float64], out_N: NDArray[np.float64], rng: np.random.Generator) -> float:
    return epsilon_by_grid(in_M, out_N, GRID)


def raw(in_M: NDArray[np.float64], out_N: NDArray[np.float64], rng: np.random.Generator) -> float:
    """What not to do: the best threshold, as if it had been chosen before."""
    thresholds = np.sort(np.concatenate([in_M, out_N]))[::10]
    tp = len(in_M) - np.searchsorted(np.sort(in_M), thresholds, side="right")
    fp = len(out_N) - np.searchsorted(np.sort(out_N), thresholds, side="right")
    return float(epsilon_lower(tp, len(in_M), fp, len(out_N)).max())


@pytest.mark.parametrize("design", [split, grid])
def test_under_the_null_nothing_is_shown(design: Callable[..., float]) -> None:
    rng = np.random.default_rng(0)
    shown = [design(rng.normal(size=60), rng.normal(size=60), rng) > 0 for _ in range(AUDITS)]
    assert np.mean(shown) <= ALLOWED


def test_the_raw_maximum_over_thresholds_breaks_the_promise() -> None:
    rng = np.random.default_rng(0)
    shown = [raw(rng.normal(size=5000), rng.normal(size=5000), rng) > 0 for _ in range(400)]
    assert np.mean(shown) > ALLOWED


@pytest.mark.parametrize("design", [split, grid])
@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_the_truth_of_a_laplace_mechanism_is_covered(design: Callable[..., float], epsilon: float) -> None:
    rng = np.random.default_rng(1)
    above = [
        design(0.5 + rng.laplace(0, 1 / epsilon, 60), -0.5 + rng.laplace(0, 1 / epsilon, 60), rng) > epsilon
        for _ in range(AUDITS)
    ]
    assert np.mean(above) <= ALLOWED


def delta_of(mu: float, epsilon: float) -> float:
    """δ(ε) of two normals μ apart (arXiv:1905.02383)."""
    return float(
        stats.norm.cdf(-epsilon / mu + mu / 2) - math.exp(epsilon) * stats.norm.cdf(-epsilon / mu - mu / 2)
    )


def test_the_truth_of_a_gaussian_mechanism_is_covered_and_reached() -> None:
    """At the threshold where the likelihood ratio is e^ε the test is the one that δ(ε) is about."""
    rng, mu, epsilon, audits = np.random.default_rng(2), 1.5, 2.0, AUDITS
    delta, threshold = delta_of(mu, epsilon), epsilon / mu + mu / 2
    rates = stats.norm.sf(threshold - mu), stats.norm.sf(threshold)
    for n, close in ((500, 0.0), (500_000, 0.97)):
        tp, fp = rng.binomial(n, rates[0], audits), rng.binomial(n, rates[1], audits)
        found = epsilon_lower(tp, n, fp, n, delta=delta)
        assert (found > epsilon).mean() <= ALLOWED
        assert np.median(found) >= close * epsilon
