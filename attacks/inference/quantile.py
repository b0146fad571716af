"""Membership by quantile regression (Bertran et al., arXiv:2307.03694): no shadow model is trained.

What φ would be for an example like this one, had it not been trained on, is learned from known non-members:
quantiles q_τ(features) of φ, by the pinball loss. The test of the paper at false-positive rate 1 − τ calls an
example a member if φ > q_τ. The score joins the tests of all levels τ: it is the normal quantile Φ⁻¹(τ)
where φ = q_τ, linear in φ between levels and beyond the outermost, so that

    score > Φ⁻¹(τ)  if and only if  φ > q_τ(features)

and it is (φ − μ)/σ, the paper's Gaussian form, where quantiles are those of a normal distribution.

Quantiles that cross are sorted (Chernozhukov et al., 10.3982/ECTA7880). Fits are gradient-boosted trees.

Legend: N examples, D features, T levels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from raiaudit.attacks.inference.cross_fitting import cross_fit
from raiaudit.attacks.inference.signals import Floats
from raiaudit.errors import UsageError

__all__ = ["score"]


def score(
    phi_N: Floats,
    features_ND: NDArray[Any],
    outside_N: NDArray[np.bool_],
    *,
    levels: Sequence[float] = (0.1, 0.5, 0.9),
    folds: int = 5,
    iterations: int = 60,
    seed: int = 0,
) -> Floats:
    """How far φ stands out of what non-members with such features have, in normal quantiles.

    `features_ND` is what an adversary knows of an example: its columns or an embedding, its label; nothing
    that depends on φ. `outside_N` marks known non-members, to learn from; each example, they too, is judged
    by a fit that did not have it. Points of a population may simply be appended. Raises `UsageError` for
    levels that do not rise in (0, 1) and as `cross_fit` does.
    """
    if len(levels) < 2 or any(low >= high for low, high in zip((0, *levels), (*levels, 1), strict=True)):
        raise UsageError(
            f"levels must be at least two, rising strictly between 0 and 1: {levels}",
            where="quantile regression",
        )

    def fit(x_RD: NDArray[Any], phi_R: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
        from sklearn.ensemble import HistGradientBoostingRegressor

        models = [
            HistGradientBoostingRegressor(
                loss="quantile", quantile=level, max_iter=iterations, max_leaf_nodes=15, random_state=seed
            ).fit(x_RD, phi_R)
            for level in levels
        ]
        return lambda x_BD: np.stack([model.predict(x_BD) for model in models], axis=1)

    found_NT = cross_fit(
        fit, features_ND, phi_N, outside_N, folds=folds, seed=seed, where="quantile regression"
    )
    return _normal_score(phi_N, np.sort(found_NT, axis=1), ndtri(np.asarray(levels)))


def _normal_score(phi_N: Floats, quantile_NT: Floats, level_T: Floats) -> Floats:
    """Φ⁻¹ of the level at which φ is the quantile, interpolated and extrapolated linearly."""
    # Quantiles that coincide would make a step that no example stands on.
    span_N = np.maximum(quantile_NT[:, -1] - quantile_NT[:, 0], 1e-9)
    quantile_NT = quantile_NT + 1e-6 * span_N[:, None] * np.arange(len(level_T))
    rows = np.arange(len(phi_N))
    below_N = np.clip((quantile_NT <= phi_N[:, None]).sum(1) - 1, 0, len(level_T) - 2)
    left_N, right_N = quantile_NT[rows, below_N], quantile_NT[rows, below_N + 1]
    slope_N = np.diff(level_T)[below_N] / (right_N - left_N)
    return np.asarray(level_T[below_N] + slope_N * (phi_N - left_N))
