"""TCAV scores and their significance: is a class more likely along a concept?

B. Kim et al., arXiv:1711.11279. The score is the share of a class's examples whose log-odds rise along the
concept's vector v. Significance is that of the mean derivative along v. With g the mean gradient of the class's
examples, g·v = mean of u over the concept − mean of u over random others, u = (Σ + λI)⁻¹ g · activation: two
samples of numbers, compared by Welch's two-sided t-test (doi:10.1093/biomet/34.1-2.28). Under the null the
concept's examples are no different from random ones, or differ in a way that the class does not answer to.

The paper compares scores over repeated draws of the random counterpart alone. Those draws share the concept's
examples, so that even a random concept gives one consistent score and is called significant: a test of the
examples has the size it says.

Shapes: N, M examples of a concept and of others; B examples of a class; D width of the layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from raiaudit.audit.explanations.concepts.vectors import Directions, Draws, Floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Score", "score", "welch"]


@dataclass(frozen=True, slots=True)
class Score:
    """The score with the middle 95 % of draws, and the p-value before any correction; or why there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    reason: str | None = None


def score(
    directions: Directions,
    concept_ND: Floats,
    others_MD: Floats,
    gradient_BD: Floats,
    draws: Draws,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> Score:
    """The score of one class and one concept; each draw also draws the class's examples anew."""
    if not np.any(gradient_BD):
        return Score(None, reason="the class does not depend on this layer")
    ahead = directions.solve(gradient_BD.mean(0, keepdims=True))[0]
    p_value = welch(concept_ND @ ahead, others_MD @ ahead)
    vector = directions.solve((concept_ND.mean(0) - others_MD.mean(0))[None])
    value = float(_rising(gradient_BD @ vector.T).mean())
    rising_BR = _rising(gradient_BD @ draws.vector_RD.T)
    n, runs = rising_BR.shape
    counts_BR = rng.multinomial(n, np.full(n, 1 / n), size=runs).T
    low, high = np.quantile((rising_BR * counts_BR).sum(0) / n, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Score(value, min(float(low), value), max(float(high), value), p_value)


def _rising(derivative: Floats) -> Floats:
    """1 where the class gains, 0 where it loses, ½ where neither."""
    signs: Floats = (np.sign(derivative) + 1) / 2
    return signs


def welch(a_N: NDArray[np.float64], b_M: NDArray[np.float64]) -> float:
    """Two-sided p-value of equal means, variances unlike; 1 where nothing varies and nothing differs."""
    from scipy.special import stdtr

    shares = [float(side.var(ddof=1)) / len(side) for side in (a_N, b_M)]
    gap = abs(float(a_N.mean() - b_M.mean()))
    if (total := sum(shares)) == 0:
        return 1.0 if gap == 0 else 0.0
    freedom = total**2 / sum(
        share**2 / (len(side) - 1) for share, side in zip(shares, (a_N, b_M), strict=True)
    )
    return min(1.0, 2 * float(stdtr(freedom, -gap / math.sqrt(total))))
