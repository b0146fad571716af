"""What one training run shows about ε: M canaries, each in the data or not by its own fair coin.

The game of Steinke, Nasr and Jagielski (arXiv:2305.08846): the k₊ canaries of the largest scores are guessed
to be in, the k₋ of the smallest to be out, the others not guessed at; k₊ and k₋ are fixed before a score
is seen. If training is (ε, δ)-DP, then for r = k₊ + k₋ guesses and any v (their theorem 5.2)
    P[at least v right] ≤ F(v) + 2·M·δ · max over i of (F(v − i) − F(v)) / i,
where F(v) = P[Binomial(r, e^ε/(1 + e^ε)) ≥ v]. ε_LB is the largest ε at which this is at most 1 − confidence.

The canaries need not be independent in what the model does with them: that is what makes one run enough.

Errors: `ValueError` for games that cannot be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import bdtrc, expit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Game", "epsilon_lower", "largest", "p_value", "play", "power_cap"]

_LARGEST_EPSILON = 50.0
_STEPS = 40  # of bisection: to 50/2⁴⁰


@dataclass(frozen=True, slots=True)
class Game:
    """`correct` of `guesses` about `canaries` were right."""

    canaries: int
    guesses: int
    correct: int

    def __post_init__(self) -> None:
        if not 0 <= self.correct <= self.guesses <= self.canaries:
            raise ValueError(f"{self.correct} right of {self.guesses} guesses at {self.canaries} canaries")


def play(scores_M: NDArray[np.float64], included_M: NDArray[np.bool_], *, k_in: int, k_out: int) -> Game:
    """Guess the `k_in` largest scores in and the `k_out` smallest out; ties go by position."""
    order_M = np.argsort(scores_M, kind="stable")
    right = int(included_M[order_M[len(order_M) - k_in :]].sum()) + int((~included_M[order_M[:k_out]]).sum())
    return Game(len(scores_M), k_in + k_out, right)


def p_value(game: Game, epsilon: float, *, delta: float) -> float:
    """At most how likely so many right guesses were, had training been (ε, δ)-DP."""
    r, v, accuracy = game.guesses, game.correct, float(expit(epsilon))
    if v == 0:
        return 1.0
    # P[Binomial ≥ v − i] for i = 0…v; bdtrc(k) is P[Binomial > k].
    tail_I = bdtrc(np.arange(v - 1, -1, -1), r, accuracy)
    tail_I = np.append(tail_I, 1.0)
    slope = float(((tail_I[1:] - tail_I[0]) / np.arange(1, v + 1)).max())
    return min(1.0, float(tail_I[0]) + 2 * game.canaries * delta * slope)


def epsilon_lower(game: Game, *, delta: float, confidence: float = 0.95) -> float:
    """ε_LB ≥ 0; 0 where the guesses show nothing."""
    return largest(lambda epsilon: p_value(game, epsilon, delta=delta) <= 1 - confidence)


def power_cap(canaries: int, guesses: int, *, delta: float, confidence: float = 0.95) -> float:
    """ε_LB of an attack whose every guess is right: what this game can show at most."""
    return epsilon_lower(Game(canaries, guesses, guesses), delta=delta, confidence=confidence)


def largest(refuted: Callable[[float], bool]) -> float:
    """The largest ε that is refuted, of a test that refutes all below it; 0 if it refutes none."""
    if not refuted(0.0):
        return 0.0
    low, high = 0.0, _LARGEST_EPSILON
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low
