"""Concept activation vectors: the direction in which a layer tells a concept's examples from others.

B. Kim et al., Interpretability beyond feature attribution, ICML 2018, arXiv:1711.11279. `classifier` is
ridge regression on membership, which is Fisher's discriminant: v = (Σ + λI)⁻¹ (mean of the concept − mean
of the others), with Σ the covariance of random examples and λ its mean eigenvalue. One factorisation serves
all concepts and all draws of their examples. `pattern` (F. Pahde et al., arXiv:2202.03482) is the
difference of the means itself. The first turns away from whatever else varies in the layer, to tell the
concept best; the second goes where the concept's examples are, with all that comes along with the concept.

Shapes: N examples of a sample, D width of the layer, R draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Directions", "Draws", "Kind", "drawn"]

Kind = Literal["classifier", "pattern"]
Floats = NDArray[np.float64]
_RIDGE = 1.0  # in mean eigenvalues: less lets directions decide in which a layer hardly varies


class Directions:
    """(Σ + λI)⁻¹ of random activations N×D, or nothing but their means' difference for a pattern.

    `constant` where activations do not vary at all.
    """

    def __init__(self, activation_ND: Floats, kind: Kind = "classifier") -> None:
        from scipy.linalg import cho_factor

        n, width = activation_ND.shape
        centred = activation_ND - activation_ND.mean(0)
        # Rounding leaves a constant with a variance of its own: it is measured by the size of the values.
        scale = float(np.abs(activation_ND).max(initial=0.0))
        spread = float((centred**2).sum()) / n / width
        self.constant = spread <= (1e-6 * scale) ** 2
        self.kind = kind
        self._ridge = _RIDGE * spread
        self._primal = width <= n
        self._centred = centred
        gram = centred.T @ centred / n if self._primal else centred @ centred.T / n
        gram[np.diag_indices_from(gram)] += self._ridge
        self._factor = None if self.constant else cho_factor(gram)

    def solve(self, rows_RD: Floats) -> Floats:
        """Each row times (Σ + λI)⁻¹, R×D; as it is for a pattern."""
        from scipy.linalg import cho_solve

        assert self._factor is not None, "constant activations have no directions"
        if self.kind == "pattern":
            return rows_RD
        if self._primal:
            found: Floats = cho_solve(self._factor, rows_RD.T).T
            return found
        # Woodbury: N examples in D > N dimensions need an N×N system alone.
        inner = cho_solve(self._factor, self._centred @ rows_RD.T)
        whole: Floats = (rows_RD - (self._centred.T @ inner).T / len(self._centred)) / self._ridge
        return whole

    def sway(self, activation_ND: Floats, ahead_D: Floats, vector_D: Floats) -> Floats:
        """What each of the N examples that the covariance is of takes off gradient·vector, N.

        `ahead_D` is the gradient solved. By the derivative of (Σ + λI)⁻¹, λ included.
        """
        if self.kind == "pattern":
            return np.zeros(len(activation_ND))
        centred = activation_ND - activation_ND.mean(0)
        product_N = (centred @ ahead_D) * (centred @ vector_D)
        size_N = (centred**2).mean(1)
        loading = _RIDGE * float(ahead_D @ vector_D)
        whole: Floats = product_N - product_N.mean() + loading * (size_N - size_N.mean())
        return whole / len(centred)


@dataclass(frozen=True, slots=True)
class Draws:
    """vector_RD of R draws, and the mean accuracy on examples a draw left out (0.5 is chance)."""

    vector_RD: Floats
    accuracy: float


def drawn(
    directions: Directions, concept_ND: Floats, others_MD: Floats, *, runs: int, rng: np.random.Generator
) -> Draws:
    """The vectors of bootstrap draws of a concept's examples and as many random others.

    About a third of each side is left out of a draw; on these its accuracy is taken, both sides counting
    alike.
    """
    size = min(len(concept_ND), len(others_MD))
    weights = [
        rng.multinomial(size, np.full(len(side), 1 / len(side)), size=runs)
        for side in (concept_ND, others_MD)
    ]
    means = [counts @ side / size for counts, side in zip(weights, (concept_ND, others_MD), strict=True)]
    vector_RD = directions.solve(means[0] - means[1])
    middle_R1 = ((means[0] + means[1]) / 2 * vector_RD).sum(1, keepdims=True)
    right = []
    for sign, counts, side in zip((1, -1), weights, (concept_ND, others_MD), strict=True):
        margin = sign * (vector_RD @ side.T - middle_R1)
        hits, left_out = (margin > 0) + 0.5 * (margin == 0), counts == 0
        right.append((hits * left_out).sum(1) / np.maximum(1, left_out.sum(1)))
    return Draws(vector_RD, float(np.mean(right)))
