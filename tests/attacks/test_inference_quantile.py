"""Quantile regression on worlds whose conditional distribution is known; cross-fitting."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from raiaudit.attacks.inference import quantile
from raiaudit.attacks.inference.cross_fitting import cross_fit
from raiaudit.attacks.inference.quantile import _normal_score
from raiaudit.errors import UsageError


def auc(score: np.ndarray, member: np.ndarray) -> float:
    statistic = stats.mannwhitneyu(score[member], score[~member]).statistic
    return float(statistic / (member.sum() * (~member).sum()))


def world(examples: int, gain: float, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """φ of mean and spread that hang on the first of three features: (φ, features, member, exact z)."""
    rng = np.random.default_rng(seed)
    x_ND, member_N = rng.uniform(-1, 1, (examples, 3)), rng.random(examples) < 0.5
    mu_N, sigma_N = 6 * x_ND[:, 0], 0.3 + 2 * (x_ND[:, 0] > 0)
    phi_N = mu_N + sigma_N * (gain * member_N + rng.normal(size=examples))
    return phi_N, x_ND, member_N, (phi_N - mu_N) / sigma_N


def test_the_score_is_the_standardised_surprise() -> None:
    phi, x, member, exact = world(1200, 1.5, seed=0)
    score = quantile.score(phi, x, ~member, folds=3)
    assert np.corrcoef(score, exact)[0, 1] > 0.9
    assert auc(phi, member) < 0.65
    assert auc(score, member) > auc(exact, member) - 0.05


def test_no_leak_gives_chance_although_non_members_are_learned_from() -> None:
    phi, x, member, _ = world(1200, 0.0, seed=1)
    # Standard error 0.017. Were non-members judged by fits that had them, their scores would crowd around 0.
    score = quantile.score(phi, x, ~member, folds=3)
    assert auc(score, member) == pytest.approx(0.5, abs=0.055)
    assert auc(np.abs(score), member) == pytest.approx(0.5, abs=0.055)


def test_a_threshold_on_the_score_is_the_papers_test_at_every_level() -> None:
    rng = np.random.default_rng(2)
    levels = np.array([0.05, 0.5, 0.99])
    quantile_NT = np.sort(rng.normal(0, 3, (400, 3)), axis=1)
    phi = rng.normal(0, 4, 400)
    score = _normal_score(phi, quantile_NT, stats.norm.ppf(levels))
    for t, level in enumerate(levels):
        clear = np.abs(phi - quantile_NT[:, t]) > 1e-4
        called = score > stats.norm.ppf(level)
        np.testing.assert_array_equal(called[clear], (phi > quantile_NT[:, t])[clear])


def test_gaussian_quantiles_give_the_gaussian_form() -> None:
    rng = np.random.default_rng(3)
    levels, mu, sigma = np.array([0.1, 0.5, 0.9]), rng.normal(size=50), rng.uniform(0.5, 2, 50)
    quantile_NT = mu[:, None] + sigma[:, None] * stats.norm.ppf(levels)
    phi = rng.normal(0, 5, 50)
    found = _normal_score(phi, quantile_NT, stats.norm.ppf(levels))
    np.testing.assert_allclose(found, (phi - mu) / sigma, rtol=1e-4, atol=1e-4)


def test_every_example_is_judged_by_a_fit_without_it() -> None:
    """The `fit` remembers what it saw: nobody is told a number that they gave, and all are told some."""
    names = np.arange(23.0)
    reference = names % 3 != 0

    def fit(x: np.ndarray, seen: np.ndarray) -> object:
        return lambda asked: np.array([[np.isin(seen, row).any(), len(seen)] for row in asked[:, 0]])

    told = cross_fit(fit, names[:, None], names, reference, folds=4, seed=1, where="test")  # type: ignore[arg-type]  # a toy
    assert not told[:, 0].any()
    assert set(told[:, 1]) <= {11.0, 12.0}


def test_too_little_to_learn_from_is_refused() -> None:
    phi, x, member, _ = world(20, 0.0, seed=4)
    with pytest.raises(UsageError, match="do not go into 5 folds"):
        quantile.score(phi, x, np.arange(20) < 4)
    with pytest.raises(UsageError, match="equal length"):
        quantile.score(phi, x[:-1], ~member)
    with pytest.raises(UsageError, match="rising strictly"):
        quantile.score(phi, x, ~member, levels=(0.9, 0.1))
