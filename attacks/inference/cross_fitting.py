"""Predictions for every example by a model that was not fitted on it, alike for members and non-members.

All examples are dealt into folds. What is said of a fold comes from a model fitted on the reference examples
of the other folds, whether or not the example is itself a reference: were references judged by smaller
fits than the others, the difference would look like membership.

Legend: N examples, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raiaudit.errors import UsageError

__all__ = ["cross_fit"]

Fit = Callable[[NDArray[Any], NDArray[Any]], Callable[[NDArray[Any]], NDArray[np.float64]]]
"""(features, targets) → a function of features."""


def cross_fit(
    fit: Fit,
    features_ND: NDArray[Any],
    target_N: NDArray[Any],
    reference_N: NDArray[np.bool_],
    *,
    folds: int,
    seed: int,
    where: str,
) -> NDArray[np.float64]:
    """Out-of-fold predictions for all N, from fits on references; shape N × whatever `fit` predicts.

    Raises `UsageError` for fewer than two folds, shapes that do not fit, or fewer references than folds.
    """
    if not len(features_ND) == len(target_N) == len(reference_N):
        raise UsageError("features, targets and references are not of equal length", where=where)
    if folds < 2 or reference_N.sum() < folds:
        raise UsageError(
            f"{int(reference_N.sum())} examples to learn from do not go into {folds} folds",
            where=where,
            remedy="give more examples of known non-members, or fewer folds (at least 2)",
        )
    rng, fold_N = np.random.default_rng(seed), np.empty(len(target_N), dtype=np.int64)
    # References and others are dealt separately, so that no fold is left without either.
    for part in (np.flatnonzero(reference_N), np.flatnonzero(~reference_N)):
        fold_N[rng.permutation(part)] = np.arange(len(part)) % folds
    said = []
    for fold in range(folds):
        learned_N = reference_N & (fold_N != fold)
        said.append(fit(features_ND[learned_N], target_N[learned_N])(features_ND[fold_N == fold]))
    answers = np.empty((len(target_N), *said[0].shape[1:]))
    for fold, answer in enumerate(said):
        answers[fold_N == fold] = answer
    return answers
