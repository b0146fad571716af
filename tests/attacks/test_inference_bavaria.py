"""BaVarIA against the integral it stands for and against the limits it has."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from raiaudit.attacks.inference import Signals, bavaria, lira
from raiaudit.attacks.inference.bavaria import Density
from raiaudit.errors import UsageError


def world(examples: int, shadows: int, *, seed: int) -> tuple[Signals, np.ndarray]:
    """Every example has its own mean and its own spread; members' φ is larger by 1.5."""
    rng = np.random.default_rng(seed)
    keep_MN = np.argsort(rng.random((shadows, examples)), axis=0) < shadows // 2
    member_N = rng.random(examples) < 0.5
    mu_N, sigma_N = rng.normal(0, 2, examples), rng.uniform(0.3, 2, examples)
    shadow_MN = mu_N + 1.5 * keep_MN + sigma_N * rng.normal(size=keep_MN.shape)
    return Signals(mu_N + 1.5 * member_N + sigma_N * rng.normal(size=examples), shadow_MN, keep_MN), member_N


def integrated(phi: float, seen: np.ndarray, of_all: np.ndarray, shape: float) -> float:
    """log ∫∫ N(φ; μ, σ²) p(μ, σ² | seen) dμ dσ², on a grid, from the prior and the likelihood alone."""
    log_s, mu = np.meshgrid(np.linspace(-4, 8, 300), np.linspace(-12, 12, 600), indexing="ij")
    s2 = np.exp(log_s)
    weight = stats.invgamma.logpdf(s2, shape, scale=of_all.var() * (shape - 1)) + log_s
    weight += stats.norm.logpdf(mu, of_all.mean(), np.sqrt(s2))
    for value in seen:
        weight += stats.norm.logpdf(value, mu, np.sqrt(s2))
    weight = np.exp(weight - weight.max())
    return float(np.log((weight * stats.norm.pdf(phi, mu, np.sqrt(s2))).sum() / weight.sum()))


@pytest.mark.parametrize("online", [True, False])
def test_the_student_score_is_the_ratio_of_integrated_likelihoods(online: bool) -> None:
    signals, _ = world(5, 6, seed=1)
    found = bavaria.score(signals, online=online)
    for i in range(5):
        log_density = {}
        for side, chosen_MN in (("with", signals.keep_MN), ("without", ~signals.keep_MN)):
            seen = signals.shadow_phi_MN[chosen_MN[:, i], i] if online or side == "without" else np.empty(0)
            log_density[side] = integrated(signals.phi_N[i], seen, signals.shadow_phi_MN[chosen_MN], 2.0)
        assert found[i] == pytest.approx(log_density["with"] - log_density["without"], abs=2e-3)


def test_the_normal_score_has_the_posterior_mean_of_the_variance() -> None:
    signals, _ = world(7, 6, seed=2)
    expected = np.zeros(7)
    for sign, chosen_MN in ((1, signals.keep_MN), (-1, ~signals.keep_MN)):
        of_all = signals.shadow_phi_MN[chosen_MN]
        for i in range(7):
            seen = signals.shadow_phi_MN[chosen_MN[:, i], i]
            n, m = len(seen), seen.mean()
            beta = of_all.var() + ((seen - m) ** 2).sum() / 2 + n * (m - of_all.mean()) ** 2 / (2 * (1 + n))
            expected[i] += sign * stats.norm.logpdf(signals.phi_N[i], m, np.sqrt(beta / (1 + n / 2 - 1)))
    np.testing.assert_allclose(bavaria.score(signals, density="normal"), expected, rtol=1e-10)


@pytest.mark.parametrize("density", ["student", "normal"])
def test_many_shadows_leave_nothing_of_the_prior(density: Density) -> None:
    signals, _ = world(30, 4000, seed=3)
    found, limit = bavaria.score(signals, density=density), lira.score(signals, variance="per_example")
    assert np.median(np.abs(found - limit)) < 0.02
    assert np.corrcoef(found, limit)[0, 1] > 0.999


@pytest.mark.parametrize("density", ["student", "normal"])
def test_few_shadows_do_better_than_variances_of_their_own(density: Density) -> None:
    signals, member = world(4000, 4, seed=4)

    def auc(score: np.ndarray) -> float:
        statistic = stats.mannwhitneyu(score[member], score[~member]).statistic
        return float(statistic / (member.sum() * (~member).sum()))

    assert (
        auc(bavaria.score(signals, density=density)) > auc(lira.score(signals, variance="per_example")) + 0.02
    )


def test_one_shadow_on_each_side_is_enough_and_none_is_not() -> None:
    signals, _ = world(20, 2, seed=5)
    assert bool(np.isfinite(bavaria.score(signals)).all())
    outside = Signals(signals.phi_N, signals.shadow_phi_MN, np.zeros_like(signals.keep_MN))
    with pytest.raises(UsageError, match="trained with an example"):
        bavaria.score(outside, online=False)
    keep_MN = signals.keep_MN.copy()
    keep_MN[:, 3] = True
    with pytest.raises(UsageError, match="without example 3: 0"):
        bavaria.score(Signals(signals.phi_N, signals.shadow_phi_MN, keep_MN), online=False)
