"""Does a map look where the evidence is known to be? For planted or annotated ground truth.

Relevance mass and relevance rank accuracy: L. Arras, A. Osman, W. Samek, arXiv:2003.07258; pointing game:
J. Zhang et al., arXiv:1608.00507. Only what speaks *for* the class counts (positive scores).
Shapes: B examples, F features; `truth_BF` true where the evidence lies. By chance mass and rank are about the
share of features that are true. NaN where an example has no truth or its map no positive score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["pointing_game", "relevance_mass", "relevance_rank"]


def relevance_mass(scores_BF: NDArray[np.float64], truth_BF: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of the positive relevance that lies in the truth."""
    positive_BF = np.maximum(scores_BF, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mass_B = (positive_BF * truth_BF).sum(axis=1) / positive_BF.sum(axis=1)
    return _where_defined(mass_B, positive_BF, truth_BF)


def relevance_rank(scores_BF: NDArray[np.float64], truth_BF: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of the truth among the K best-ranked features, K the size of the truth."""
    positive_BF = np.maximum(scores_BF, 0)
    size_B = truth_BF.sum(axis=1)
    order_BF = np.argsort(-scores_BF, axis=1, kind="stable")
    ranked_BF = np.take_along_axis(truth_BF & (positive_BF > 0), order_BF, axis=1)
    among_BF = np.arange(scores_BF.shape[1]) < size_B[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        share_B = (ranked_BF & among_BF).sum(axis=1) / size_B
    return _where_defined(share_B, positive_BF, truth_BF)


def pointing_game(scores_BF: NDArray[np.float64], truth_BF: NDArray[np.bool_]) -> NDArray[np.float64]:
    """1 where the largest score lies in the truth; ties count with their share."""
    best_BF = scores_BF == scores_BF.max(axis=1, keepdims=True)
    hit_B = (best_BF & truth_BF).sum(axis=1) / best_BF.sum(axis=1)
    return _where_defined(hit_B, np.maximum(scores_BF, 0), truth_BF)


def _where_defined(
    values_B: NDArray[np.float64], positive_BF: NDArray[np.float64], truth_BF: NDArray[np.bool_]
) -> NDArray[np.float64]:
    return np.where(truth_BF.any(axis=1) & (positive_BF.sum(axis=1) > 0), values_B, np.nan)
