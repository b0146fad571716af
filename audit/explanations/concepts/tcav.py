"""TCAV scores and their significance: is a class more likely along a concept?

B. Kim et al., arXiv:1711.11279. The score is the share of a class's examples whose log-odds rise along the
concept's vector v. Significance is that of the mean derivative g·v, with g the mean gradient of the class's
examples: two-sided, by t, where the standard error adds up what every example contributes to v (the
infinitesimal jackknife, doi:10.1137/1.9781611970319): the concept's and the others' to their means, the
random ones' to the covariance. Under the null the concept's examples are no different from random ones, or
differ in a way that the class does not answer to.

The paper compares scores over repeated draws of the random counterpart alone. Those draws share the concept's
examples, so that even a random concept gives one consistent score and is called significant: a test of the
examples has the size it says.

Shapes: N examples of the pool, of which some are the concept's, some random; B examples of a class; D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from raiaudit.audit.explanations.concepts.vectors import Directions, Draws, Floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

__all__ = ["Pool", "Score", "p_value", "score"]


@dataclass(frozen=True, slots=True)
class Pool:
    """activation_ND, and who is who: the concept's examples, the others (random, not of the concept), and all
    the random ones, of which the covariance is.
    """

    activation_ND: Floats
    concept_N: Mask
    other_N: Mask
    random_N: Mask

    @property
    def sides(self) -> tuple[Floats, Floats]:
        """Activations of the concept and of the others."""
        return self.activation_ND[self.concept_N], self.activation_ND[self.other_N]


@dataclass(frozen=True, slots=True)
class Score:
    """The score with the middle 95 % of draws, and the p-value before correction; or why there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    reason: str | None = None


def score(
    directions: Directions,
    pool: Pool,
    gradient_BD: Floats,
    draws: Draws,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> Score:
    """The score of one class and one concept; each draw also draws the class's examples anew."""
    if not np.any(gradient_BD):
        return Score(None, reason="the class does not depend on this layer")
    concept_ND, others_MD = pool.sides
    vector_D = directions.solve((concept_ND.mean(0) - others_MD.mean(0))[None])[0]
    value = float(_rising(gradient_BD @ vector_D).mean())
    rising_BR = _rising(gradient_BD @ draws.vector_RD.T)
    n, runs = rising_BR.shape
    counts_BR = rng.multinomial(n, np.full(n, 1 / n), size=runs).T
    low, high = np.quantile((rising_BR * counts_BR).sum(0) / n, [0.5 - confidence / 2, 0.5 + confidence / 2])
    found = p_value(directions, pool, gradient_BD.mean(0), vector_D)
    return Score(value, min(float(low), value), max(float(high), value), found)


def _rising(derivative: Floats) -> Floats:
    """1 where the class gains, 0 where it loses, ½ where neither."""
    signs: Floats = (np.sign(derivative) + 1) / 2
    return signs


def p_value(directions: Directions, pool: Pool, gradient_D: Floats, vector_D: Floats) -> float:
    """Two-sided p-value of gradient·vector = 0; freedom as Welch has it (doi:10.1093/biomet/34.1-2.28)."""
    from scipy.special import stdtr

    ahead_D = directions.solve(gradient_D[None])[0]
    projected_N = pool.activation_ND @ ahead_D
    moved_N = np.zeros(len(projected_N))  # what an example adds to gradient·vector
    for sign, side_N in ((1, pool.concept_N), (-1, pool.other_N)):
        values = projected_N[side_N]
        moved_N[side_N] += sign * (values - values.mean()) / len(values)
    moved_N[pool.random_N] -= directions.sway(pool.activation_ND[pool.random_N], ahead_D, vector_D)
    shares, freedoms = [], []
    for part_N in (pool.concept_N, ~pool.concept_N):
        count = int(np.count_nonzero(part_N))
        shares.append(float((moved_N[part_N] ** 2).sum()) * count / (count - 1))
        freedoms.append(count - 1)
    gap = abs(float(gradient_D @ vector_D))
    if (total := sum(shares)) == 0:
        return 1.0 if gap == 0 else 0.0
    freedom = total**2 / sum(share**2 / free for share, free in zip(shares, freedoms, strict=True))
    return min(1.0, 2 * float(stdtr(freedom, -gap / math.sqrt(total))))
