"""Vectorised score intervals: published examples, the scalar functions, exact coverage by enumeration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from raiaudit.audit.statistics.intervals import newcombe, ratio, wilson
from raiaudit.audit.statistics.score_intervals import (
    koopman_accepts,
    koopman_limits,
    wilson_limits,
)

TABLES = np.array(
    [(56, 70, 48, 80), (9, 10, 3, 10), (6, 7, 2, 7), (5, 56, 0, 29), (0, 10, 0, 20), (10, 10, 0, 20)]
).T


def test_koopman_gives_the_published_interval() -> None:
    """Koopman 1984, section 3: 36 of 40 against 16 of 80."""
    assert koopman_limits(36, 40, 16, 80) == pytest.approx((2.94, 7.15), abs=5e-3)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_many_at_once_are_each_as_alone(confidence: float) -> None:
    x, m, y, n = TABLES
    single = np.array([wilson(int(a), int(b), confidence) for a, b in zip(x, m, strict=True)])
    np.testing.assert_allclose(wilson_limits(x, m, confidence), single.T, atol=1e-12)
    expected = np.array([ratio(int(a), int(b), int(c), int(d), confidence) for a, b, c, d in TABLES.T])
    np.testing.assert_allclose(koopman_limits(x, m, y, n, confidence), expected.T, rtol=1e-9, atol=1e-12)


def test_the_ratio_accepts_exactly_what_lies_inside() -> None:
    low, high = (float(end) for end in koopman_limits(30, 60, 20, 100))
    thetas = np.array([low * 0.999, low * 1.001, 2.0, high * 0.999, high * 1.001])
    inside = [bool(koopman_accepts(float(theta), 30, 60, 20, 100)) for theta in thetas]
    assert inside == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("limits", "truth", "least", "worst"),
    [
        (np.vectorize(newcombe), lambda p, q: p - q, 0.945, 0.90),
        (koopman_limits, lambda p, q: p / q, 0.945, 0.92),
    ],
)
def test_coverage_of_two_proportions(
    limits: Callable[..., Any], truth: Callable[[float, float], float], least: float, worst: float
) -> None:
    """Exact: the probabilities of all pairs of counts whose interval holds the truth; 25 and 18 examples."""
    m, n = 25, 18
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(m + 1), np.arange(n + 1)))
    low, high = limits(x, m, y, n, 0.95)
    covered = []
    for p in np.linspace(0.05, 0.95, 10):
        for q in np.linspace(0.07, 0.93, 9):
            chance = stats.binom.pmf(x, m, p) * stats.binom.pmf(y, n, q)
            inside = (low <= truth(p, q) + 1e-12) & (truth(p, q) <= high + 1e-12)
            covered.append(float(chance[inside].sum()))
    assert least <= np.mean(covered) <= 0.975
    assert min(covered) >= worst


def test_nothing_observed_says_nothing() -> None:
    assert [float(end) for end in wilson_limits(0, 0)] == [0, 1]
    assert [float(end) for end in koopman_limits(0, 5, 0, 9)] == [0, np.inf]
    with pytest.raises(ValueError, match="not between 0 and 1"):
        wilson_limits(1, 2, 1.0)
