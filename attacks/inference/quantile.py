"""Membership by quantile regression (Bertran et al., arXiv:2307.03694): no shadow model is trained.

What φ would be for an example like this one, had it not been trained on, is learned from known non-members:
quantiles q_τ(features) of φ. The test of the paper at false-positive rate 1 − τ calls an example a member if
φ > q_τ. The score joins the tests of all τ: it is the normal quantile Φ⁻¹(τ) where φ = q_τ, linear in φ
between levels and beyond the outermost, so that

    score > Φ⁻¹(τ)  if and only if  φ > q_τ(features)

and it is (φ − μ)/σ, the paper's Gaussian form, where quantiles are those of a normal distribution.

The paper's regressors are networks and boosted trees under the pinball loss. Here it is a quantile regression
forest (Meinshausen, JMLR 7:983, 2006), which from a few hundred examples comes nearer to the true quantiles
and whose levels cannot cross.

Legend: N examples, D features, T levels, R examples learned from, B examples asked about.
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

TREES, LEAF = 100, 10
ROWS = 256
"""Asked about at once: the weights of one row are as many as examples were learned from."""


def score(
    phi_N: Floats,
    features_ND: NDArray[Any],
    outside_N: NDArray[np.bool_],
    *,
    levels: Sequence[float] = (0.1, 0.5, 0.9),
    folds: int = 5,
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
        return _forest(x_RD, phi_R, np.asarray(levels), seed)

    found_NT = cross_fit(
        fit, features_ND, phi_N, outside_N, folds=folds, seed=seed, where="quantile regression"
    )
    return _normal_score(phi_N, found_NT, ndtri(np.asarray(levels)))


def _forest(
    x_RD: NDArray[Any], phi_R: Floats, level_T: Floats, seed: int
) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
    """Quantiles of φ weighted by how often an example learned from shares a leaf with the one asked about."""
    from scipy.sparse import csr_array
    from sklearn.ensemble import RandomForestRegressor

    order = np.argsort(phi_R)
    x_RD, phi_R = x_RD[order], phi_R[order]
    forest = RandomForestRegressor(TREES, min_samples_leaf=LEAF, random_state=seed).fit(x_RD, phi_R)
    sizes = [tree.tree_.node_count for tree in forest.estimators_]
    offsets = np.cumsum([0, *sizes[:-1]])

    def leaves(x_BD: NDArray[Any]) -> csr_array:
        """One row an example, one column a leaf of any tree."""
        columns, ends = forest.apply(x_BD) + offsets, np.arange(len(x_BD) + 1) * TREES
        return csr_array((np.ones(columns.size), columns.ravel(), ends), shape=(len(x_BD), sum(sizes)))

    learned = leaves(x_RD)
    share = learned.sum(0)
    learned = (learned / np.maximum(share, 1)).T.tocsr()

    def quantiles(x_BD: NDArray[Any]) -> NDArray[np.float64]:
        below_BR = np.cumsum((leaves(x_BD) @ learned).toarray(), axis=1) / TREES
        at_BT = (below_BR[:, None, :] < level_T[:, None]).sum(2)
        return np.asarray(phi_R[np.minimum(at_BT, len(phi_R) - 1)])

    return lambda x_BD: np.concatenate(
        [quantiles(x_BD[start : start + ROWS]) for start in range(0, len(x_BD), ROWS)]
    )


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
