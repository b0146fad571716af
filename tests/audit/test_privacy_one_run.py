"""The one-run game, against its theorem restated, a linear programme, and mechanisms of known ε."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq, linprog

from raiaudit.audit.privacy.epsilon import f_dp, one_run
from raiaudit.audit.privacy.epsilon.one_run import Game

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

AUDITS = 2000
ALLOWED = 0.05 + 3 * (0.05 * 0.95 / AUDITS) ** 0.5
M, K = 200, 40


def theorem(game: Game, epsilon: float, delta: float) -> float:
    """Theorem 5.2 of arXiv:2305.08846, term by term."""
    accuracy = math.exp(epsilon) / (1 + math.exp(epsilon))

    def at_least(v: int) -> float:
        return float(stats.binom.sf(v - 1, game.guesses, accuracy))

    v = game.correct
    slopes = [(at_least(v - i) - at_least(v)) / i for i in range(1, game.canaries + 1)]
    return min(1.0, at_least(v) + 2 * game.canaries * delta * max(slopes))


@pytest.mark.parametrize("delta", [0.0, 1e-3])
@pytest.mark.parametrize("game", [Game(50, 20, 18), Game(50, 50, 30), Game(300, 60, 60), Game(20, 10, 0)])
def test_the_p_value_is_that_of_the_theorem(game: Game, delta: float) -> None:
    for epsilon in (0.0, 0.7, 3.0):
        assert one_run.p_value(game, epsilon, delta=delta) == pytest.approx(theorem(game, epsilon, delta))


def test_more_right_guesses_never_show_less_and_more_epsilon_never_explains_less() -> None:
    for delta in (0.0, 1e-4):
        shown = [one_run.epsilon_lower(Game(M, K, v), delta=delta) for v in range(K + 1)]
        assert shown == sorted(shown)
        for v in (25, 33, 40):
            p = [one_run.p_value(Game(M, K, v), e, delta=delta) for e in np.linspace(0, 6, 40)]
            assert p == sorted(p)


def test_who_is_guessed_at() -> None:
    scores, included = np.array([5.0, 1, 4, 0, 2, 3]), np.array([True, True, False, False, True, False])
    assert one_run.play(scores, included, k_in=2, k_out=1) == Game(6, 3, 2)  # 5 right, 4 wrong, 0 right
    assert one_run.play(scores, included, k_in=0, k_out=2) == Game(6, 2, 1)


def test_what_is_too_few_and_what_cannot_be() -> None:
    assert one_run.power_cap(5, 5, delta=0) > 0
    assert one_run.power_cap(4, 4, delta=0) == 0
    with pytest.raises(ValueError, match="7 right of 6"):
        Game(10, 6, 7)


@pytest.mark.parametrize(("m", "guesses", "correct"), [(6, 4, 3), (5, 5, 4), (8, 6, 6), (8, 6, 5)])
def test_the_curve_bound_is_the_linear_programme_of_its_constraints(
    m: int, guesses: int, correct: int
) -> None:
    """For pure ε the constraints are linear in the distribution of the number of right guesses."""
    epsilon = 1.0
    i = np.arange(guesses + 1)
    rows, limits = [], []
    for least in range(guesses):
        right, wrong = np.where(i > least, i, 0) / m, np.where(i >= least, guesses - i, 0) / m
        rows += [right - math.exp(epsilon) * wrong, right - math.exp(-epsilon) * wrong]
        limits += [0.0, 1 - math.exp(-epsilon)]
    best = linprog(
        -np.where(i >= correct, 1.0, 0.0),
        A_ub=np.array(rows),
        b_ub=limits,
        A_eq=np.ones((1, guesses + 1)),
        b_eq=[1],
    )
    tau = -best.fun
    pure = f_dp.from_profile(np.array([epsilon]), np.array([0.0]))
    game = Game(m, guesses, correct)
    assert f_dp.refuted(pure, game, confidence=1 - tau * 1.001)
    assert not f_dp.refuted(pure, game, confidence=1 - tau * 0.999)


@pytest.mark.parametrize("game", [Game(1000, 100, 97), Game(1000, 1000, 760)])
def test_on_pure_epsilon_the_two_bounds_nearly_agree(game: Game) -> None:
    def is_refuted(epsilon: float) -> bool:
        return f_dp.refuted(f_dp.from_profile(np.array([epsilon]), np.zeros(1)), game)

    classic = one_run.epsilon_lower(game, delta=0)
    assert 0.98 * classic < one_run.largest(is_refuted) <= classic


def epsilon_of(mu: float, delta: float) -> float:
    def excess(e: float) -> float:
        second = math.exp(e) * stats.norm.cdf(-e / mu - mu / 2)
        return float(stats.norm.cdf(-e / mu + mu / 2) - second - delta)

    return float(brentq(excess, 0, 60))


def test_epsilon_of_a_gaussian_mechanism_is_its_closed_form() -> None:
    for mu in (0.3, 1.0, 3.0):
        assert f_dp.epsilon_of_gaussian(mu, 1e-5) == pytest.approx(epsilon_of(mu, 1e-5), abs=1e-6)
    assert f_dp.epsilon_of_gaussian(0.0, 1e-5) == 0


def test_steps_without_subsampling_are_one_gaussian_mechanism() -> None:
    """T steps of noise σ at q = 1 are μ-GDP with μ = √T/σ: the same curve and the same ε."""
    game = Game(400, 80, 70)
    plain = f_dp.gaussian_epsilon_lower(game, delta=1e-5)
    assert f_dp.subsampled_epsilon_lower(game, sample_rate=1.0, steps=16, delta=1e-5) == pytest.approx(
        plain, rel=0.01
    )
    inverse, closed = f_dp.subsampled(8.0, 1.0, 16), f_dp.gaussian(0.5)
    for rate in (1e-4, 0.01, 0.3, 0.9, 0.999):
        assert 0.97 * closed(rate) - 1e-6 <= inverse(rate) <= closed(rate) + 1e-9


@cache
def classic_epsilon(correct: int, delta: float) -> float:
    return one_run.epsilon_lower(Game(M, K, correct), delta=delta)


@cache
def curve_epsilon(correct: int, delta: float) -> float:
    return f_dp.gaussian_epsilon_lower(Game(M, K, correct), delta=delta)


def games(scored: Callable[[NDArray[np.bool_], np.random.Generator], NDArray[np.float64]]) -> Iterator[Game]:
    """AUDITS games on the scores that a mechanism gives to coins."""
    rng = np.random.default_rng(3)
    for _ in range(AUDITS):
        included = rng.random(M) < 0.5
        yield one_run.play(scored(included, rng), included, k_in=K // 2, k_out=K // 2)


def test_under_the_null_nothing_is_shown() -> None:
    played = list(games(lambda included, rng: rng.normal(size=M)))
    for bound in (classic_epsilon, curve_epsilon):
        assert np.mean([bound(game.correct, 1e-5) > 0 for game in played]) <= ALLOWED


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_pure_mechanisms_of_known_epsilon_are_covered(epsilon: float) -> None:
    def laplace(included: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
        return included + rng.laplace(0, 1 / epsilon, M)

    def randomised_response(included: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
        honest = rng.random(M) < 1 / (1 + math.exp(-epsilon))
        return np.where(honest, included, ~included) + rng.uniform(0, 0.1, M)

    for mechanism in (laplace, randomised_response):
        above = [classic_epsilon(game.correct, 0.0) > epsilon for game in games(mechanism)]
        assert np.mean(above) <= ALLOWED


def test_a_mechanism_that_sometimes_tells_all_is_covered_through_delta() -> None:
    """With probability δ every coin is published: (ε, δ)-DP, and far from independent."""
    epsilon, delta = 0.5, 0.02

    def mechanism(included: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
        honest = rng.random(M) < 1 / (1 + math.exp(-epsilon))
        told = honest | (rng.random() < delta)
        return np.where(told, included, ~included) + rng.uniform(0, 0.1, M)

    above = [classic_epsilon(game.correct, delta) > epsilon for game in games(mechanism)]
    assert np.mean(above) <= ALLOWED


@pytest.mark.parametrize("mu", [0.5, 2.0])
def test_gaussian_mechanisms_of_known_epsilon_are_covered_by_both_bounds(mu: float) -> None:
    truth = epsilon_of(mu, 1e-5)
    played = list(games(lambda included, rng: mu * included + rng.normal(size=M)))
    for bound in (classic_epsilon, curve_epsilon):
        assert np.mean([bound(game.correct, 1e-5) > truth for game in played]) <= ALLOWED


def test_with_many_canaries_the_bounds_come_close() -> None:
    rng, m, epsilon = np.random.default_rng(4), 20_000, 1.0
    included = rng.random(m) < 0.5
    honest = rng.random(m) < 1 / (1 + math.exp(-epsilon))
    answered = one_run.play(np.where(honest, included, ~included) * 1.0, included, k_in=5000, k_out=5000)
    assert 0.9 * epsilon < one_run.epsilon_lower(answered, delta=0) < epsilon
    seen = one_run.play(included + rng.normal(size=m), included, k_in=400, k_out=400)
    truth, classic = epsilon_of(1.0, 1e-5), one_run.epsilon_lower(seen, delta=1e-5)
    curve = f_dp.gaussian_epsilon_lower(seen, delta=1e-5)
    assert max(classic, 0.6 * truth) < curve < truth
