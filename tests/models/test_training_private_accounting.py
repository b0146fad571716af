"""Accountants against a closed form, each other and a published value; the search for σ, and its end."""

import math

import pytest
from opacus.accountants import GaussianAccountant
from scipy import stats

from raiaudit.errors import UsageError
from raiaudit.models.training.accounting import (
    Mechanism,
    epsilon_pld,
    epsilon_prv,
    epsilon_rdp,
    noise_multiplier,
)


def gaussian_delta(epsilon: float, sigma: float) -> float:
    """The exact curve of one Gaussian mechanism (arXiv:1805.06530, theorem 8)."""
    a, b = 1 / (2 * sigma), epsilon * sigma
    return float(stats.norm.cdf(a - b) - math.exp(epsilon) * stats.norm.cdf(-a - b))


@pytest.mark.parametrize(("sigma", "steps"), [(1.0, 1), (2.0, 4), (5.0, 100)])
def test_without_sampling_the_accountants_meet_the_closed_form(sigma: float, steps: int) -> None:
    mechanism = Mechanism(sigma, 1.0, steps, 1e-5)
    pld = epsilon_pld(mechanism)
    one = sigma / math.sqrt(steps)  # T Gaussian steps are one with σ/√T
    assert gaussian_delta(pld, one) <= 1e-5 * (1 + 1e-6)
    assert gaussian_delta(pld - 0.01, one) > 1e-5
    assert epsilon_rdp(mechanism) >= pld


@pytest.mark.parametrize(
    ("sigma", "rate", "steps", "delta"), [(1.1, 256 / 60000, 14062, 1e-5), (1.5, 0.05, 400, 1e-4)]
)
def test_three_accountants_agree_on_subsampled_steps(
    sigma: float, rate: float, steps: int, delta: float
) -> None:
    mechanism = Mechanism(sigma, rate, steps, delta)
    prv, why = epsilon_prv(mechanism)
    assert why == ""
    assert prv is not None
    pld = epsilon_pld(mechanism)
    assert pld == pytest.approx(prv, rel=0.01, abs=0.02)
    assert pld < epsilon_rdp(mechanism) < 1.3 * pld


@pytest.mark.filterwarnings("ignore:GDP accounting is experimental")
def test_the_central_limit_says_less_than_is_spent_and_is_not_used() -> None:
    few = Mechanism(0.6, 0.01, 100, 1e-5)
    limit = GaussianAccountant()
    limit.history = [(few.sigma, few.sample_rate, few.steps)]
    assert limit.get_epsilon(delta=few.delta) < 0.8 * epsilon_pld(few)


def test_rdp_meets_the_epsilon_published_for_the_mnist_tutorial() -> None:
    # TensorFlow Privacy's MNIST tutorial: N = 60,000, B = 256, σ = 1.1, 60 epochs, δ = 1e-5 → ε = 3.01
    # with the older conversion; today's (arXiv:2004.00010) is tighter, never looser.
    assert 2.4 < epsilon_rdp(Mechanism(1.1, 256 / 60000, 60 * 60000 // 256, 1e-5)) <= 3.01


@pytest.mark.parametrize(("epsilon", "rate", "steps"), [(3.0, 2048 / 55000, 1170), (0.5, 0.1, 20)])
def test_the_noise_found_is_the_least_that_keeps_the_budget(epsilon: float, rate: float, steps: int) -> None:
    sigma = noise_multiplier(epsilon=epsilon, delta=1e-5, sample_rate=rate, steps=steps)
    assert epsilon_pld(Mechanism(sigma, rate, steps, 1e-5)) <= epsilon
    assert epsilon_pld(Mechanism(sigma / 1.01, rate, steps, 1e-5)) > epsilon


def test_an_epsilon_out_of_reach_names_the_nearest_and_that_one_is_reached() -> None:
    with pytest.raises(UsageError, match=r"recipe\.privacy\.epsilon: (.|\n)*fewer epochs") as caught:
        noise_multiplier(epsilon=1e-4, delta=1e-5, sample_rate=0.5, steps=2000)
    assert caught.value.remedy is not None
    nearest = float(caught.value.remedy.split("raise epsilon to ")[1].split()[0])
    assert epsilon_rdp(Mechanism(1e4, 0.5, 2000, 1e-5)) <= nearest
    with pytest.raises(UsageError, match="out of reach"):
        noise_multiplier(epsilon=nearest * 0.98, delta=1e-5, sample_rate=0.5, steps=2000)


def test_a_delta_below_what_is_computed_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"recipe\.privacy\.delta: (.|\n)*so small a δ"):
        noise_multiplier(epsilon=1.0, delta=1e-30, sample_rate=0.5, steps=10)


def test_nothing_spent_is_no_error() -> None:
    """PRV raises for an empty history; the record then has no cross-check, and says why."""
    prv, why = epsilon_prv(Mechanism(1.0, 0.1, 0, 1e-5))
    assert prv is None
    assert "PRV cross-check failed" in why


def test_no_accountant_that_is_recorded_says_less_than_nothing() -> None:
    """At δ = 0.5 PRV alone says −0.68."""
    spent, why = epsilon_prv(Mechanism(1.0, 1 / 3, 1, 0.5))
    assert (spent, why) == (0.0, "")
    assert epsilon_pld(Mechanism(1.0, 1 / 3, 1, 0.5)) == 0
