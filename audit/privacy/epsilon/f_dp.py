"""The one-run game against a whole trade-off curve: f-DP (Mahloujifar, Melis, Chaudhuri, arXiv:2410.22235).

A mechanism is f-DP (arXiv:1905.02383) if no test of one example with false-positive rate x has a
true-positive rate above 1 − f(x). Of M canaries c′ are guessed at. Let r_i be E[right guesses; at least i
right]/M and h_i the same of wrong ones. Flipping one canary's coin turns "right, and i in all" into "wrong,
and i − 1 in all", so that f-DP and its convexity give r_{i+1} ≤ 1 − f(h_i) for every i: h_i is at least the
`inverse` of r_{i+1}. Starting from P[at least c right] = τ and taking the smallest h_i each time gives the
least possible r_0 + h_0, which is c′/M. If it comes out larger, then P[at least c right] < τ.

A curve is an `Inverse`: the true-positive rate → the least false-positive rate that a test pays for it. For
a Gaussian mechanism there is a closed form; for T Poisson-subsampled Gaussian steps it is the envelope of
the lines δ(ε) that a privacy-loss distribution gives (dp-accounting, pessimistic rounding: a bound).

A family has one number for its noise, and the game refutes its members that are too noisy. ε_LB is that of
the least noisy one refuted, so it holds within the family; refuting the member that the accountant assumed
refutes its claim without that condition. Of a Gaussian mechanism with μ = 1 and ε = 4.4 at δ = 1e-5 the most
one run shows, at any number of canaries, is about 3.1: the theorem allows for an adversary that is right
about many canaries at once in rare runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from raiaudit.audit.privacy.epsilon.one_run import Game, largest

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution
    from numpy.typing import NDArray

__all__ = [
    "Inverse",
    "epsilon_of_gaussian",
    "from_profile",
    "gaussian",
    "gaussian_epsilon_lower",
    "refuted",
    "subsampled",
    "subsampled_epsilon_lower",
]

Inverse = Callable[[float], float]

_COARSE, _FINE = 2e-3, 1e-3  # discretisation of the privacy loss, in the search and of the answer
_LINES = 128  # of the envelope
_LEAST_DELTA, _FARTHEST = 1e-8, 50.0  # where the envelope ends
_STRIDE, _PRECISION = 1.1, 1e-3  # of σ, relative
_MOST_NOISE = 1e3


def refuted(inverse: Inverse, game: Game, *, confidence: float = 0.95) -> bool:
    """Whether so many right guesses are less likely than 1 − confidence under the curve."""
    tau, m, guesses, c = 1 - confidence, game.canaries, game.guesses, game.correct
    right, wrong = tau * c / m, tau * (guesses - c) / m
    if inverse(right) < wrong:
        return False  # worse than guessing at random
    for i in range(c - 1, -1, -1):
        more = max(wrong, inverse(right))
        right += i / (guesses - i) * (more - wrong)
        wrong = more
        if right + wrong > guesses / m:
            return True
    return False


def gaussian(mu: float) -> Inverse:
    """Of a Gaussian mechanism whose two outputs are μ standard deviations apart (μ-GDP)."""
    return lambda rate: float(ndtr(ndtri(rate) - mu))


def from_profile(epsilons_L: NDArray[np.float64], deltas_L: NDArray[np.float64]) -> Inverse:
    """Of a mechanism that is (ε, δ)-DP for each pair, ε ≥ 0: the envelope of their lines."""
    factors_L = np.exp(epsilons_L)

    def inverse(rate: float) -> float:
        hits, rejections = (rate - deltas_L) / factors_L, 1 - deltas_L - factors_L * (1 - rate)
        return max(0.0, float(hits.max()), float(rejections.max()))

    return inverse


def epsilon_of_gaussian(mu: float, delta: float) -> float:
    """ε of μ-GDP at δ: δ(ε) = Φ(−ε/μ + μ/2) − e^ε·Φ(−ε/μ − μ/2) (arXiv:1905.02383, corollary 2.13)."""

    def more_than_delta(epsilon: float) -> bool:
        second = np.exp(epsilon + log_ndtr(-epsilon / mu - mu / 2))
        return bool(ndtr(-epsilon / mu + mu / 2) - second > delta)

    return largest(more_than_delta) if mu > 0 else 0.0


def gaussian_epsilon_lower(game: Game, *, delta: float, confidence: float = 0.95) -> float:
    """ε_LB at δ of a Gaussian mechanism."""
    mu = largest(lambda mu: refuted(gaussian(mu), game, confidence=confidence))
    return epsilon_of_gaussian(mu, delta)


@lru_cache(maxsize=64)
def subsampled_epsilon_lower(
    game: Game, *, sample_rate: float, steps: int, delta: float, confidence: float = 0.95
) -> float:
    """ε_LB at δ of `steps` Poisson-subsampled Gaussian steps: that of the least σ that is refuted."""

    def is_refuted(sigma: float) -> bool:
        return refuted(subsampled(sigma, sample_rate, steps), game, confidence=confidence)

    mu = largest(lambda mu: refuted(gaussian(mu), game, confidence=confidence))
    if mu == 0:
        return 0.0
    # Where the central limit (arXiv:1911.11607) puts σ: q·√(T·(exp(1/σ²) − 1)) = μ.
    guess = math.log1p((mu / sample_rate) ** 2 / steps) ** -0.5
    low = high = min(guess, _MOST_NOISE)
    while not is_refuted(high):
        if high > _MOST_NOISE:
            return 0.0
        low, high = high, high * _STRIDE
    if low == high:
        while is_refuted(low):
            low, high = low / _STRIDE, low
    while high / low > 1 + _PRECISION:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if is_refuted(middle) else (middle, high)
    # An answer that is a lower bound takes the optimistic rounding.
    answer = _composed(high, sample_rate, steps, interval=_FINE, pessimistic=False)
    return float(answer.get_epsilon_for_delta(delta))


@lru_cache(maxsize=256)
def subsampled(sigma: float, sample_rate: float, steps: int) -> Inverse:
    """Of `steps` Gaussian steps of noise σ, each example in a step with probability `sample_rate`."""
    loss = _composed(sigma, sample_rate, steps, interval=_COARSE, pessimistic=True)
    farthest = loss.get_epsilon_for_delta(_LEAST_DELTA)
    epsilons_L = np.linspace(0.0, farthest if math.isfinite(farthest) else _FARTHEST, _LINES)
    return from_profile(epsilons_L, np.asarray(loss.get_delta_for_epsilon(epsilons_L)))


def _composed(
    sigma: float, sample_rate: float, steps: int, *, interval: float, pessimistic: bool
) -> PrivacyLossDistribution:
    from dp_accounting.pld import privacy_loss_distribution

    step = privacy_loss_distribution.from_gaussian_mechanism(
        sigma,
        value_discretization_interval=interval,
        sampling_prob=sample_rate,
        pessimistic_estimate=pessimistic,
        use_connect_dots=pessimistic,  # it has no optimistic form
    )
    return step.self_compose(steps)
