"""The area under the ROC curve of scores counted in bins, with DeLong's interval.

The placements of DeLong et al. (1988), doi:10.2307/2531595, are the same for all examples of a bin, so that
sums over bins give exactly what `intervals.auc_delong` gives of the binned scores. With weights the variance
is linearised, Σ w²(V − AUC)² / (Σw)²; with clusters it is that of sums over clusters (Obuchowski, Biometrics
53 (1997) 567, doi:10.2307/2533958). Shapes: U rows, each a bin (of a cluster) with its positives and
negatives; bins may repeat.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from raiaudit.audit.statistics.intervals import Interval, auc_interval, satterthwaite

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["AucMoments", "BinnedScores", "auc_of_bins"]


class BinnedScores(NamedTuple):
    """Σw of the positives and of the negatives of each row, Σw² of both (the counts themselves where nothing
    is weighted), and the cluster of the row, None where rows are independent.
    """

    bin_U: NDArray[np.int64]
    positive_U: NDArray[np.float64]
    negative_U: NDArray[np.float64]
    positive_squares_U: NDArray[np.float64]
    negative_squares_U: NDArray[np.float64]
    cluster_U: NDArray[np.int64] | None = None


class AucMoments(NamedTuple):
    """The area, its variance, the effective numbers of positives and negatives, and the degrees of freedom of
    the variance.
    """

    auc: float
    variance: float
    positives: float
    negatives: float
    degrees: float

    def interval(self, confidence: float) -> Interval:
        """DeLong's, as `intervals.auc_delong` has it."""
        return Interval(*auc_interval(*self, confidence)[1:])


def auc_of_bins(scores: BinnedScores) -> AucMoments | None:
    """P(bin of a positive > bin of a negative) + ½ P(equal); None where a side has no examples."""
    m, n = float(scores.positive_U.sum()), float(scores.negative_U.sum())
    if not (m and n):
        return None
    above_U = _below(scores.bin_U, scores.negative_U) / n
    beyond_U = 1 - _below(scores.bin_U, scores.positive_U) / m
    auc = float((scores.positive_U * above_U).sum() / m)
    sizes = [
        total**2 / float(squares.sum())
        for total, squares in ((m, scores.positive_squares_U), (n, scores.negative_squares_U))
    ]
    degrees = math.inf
    if scores.cluster_U is not None:
        residual_U = scores.positive_U * (above_U - auc) / m + scores.negative_U * (beyond_U - auc) / n
        residual_C = np.bincount(scores.cluster_U, residual_U)
        held = int((np.bincount(scores.cluster_U) > 0).sum())
        variance = float((residual_C**2).sum()) * held / (held - 1) if held > 1 else 0.0
        sizes = [min(size, held) for size in sizes]
        degrees = max(held - 1, 1)
    elif min(sizes) > 1 + 1e-9:
        parts = (
            (scores.positive_squares_U, above_U, m, sizes[0]),
            (scores.negative_squares_U, beyond_U, n, sizes[1]),
        )
        first, second = (
            float((squares_U * (place_U - auc) ** 2).sum()) / total**2 * size / (size - 1)
            for squares_U, place_U, total, size in parts
        )
        variance, degrees = first + second, satterthwaite((first, second), (sizes[0], sizes[1]))
    else:
        variance = 0.0
    return AucMoments(auc, variance, sizes[0], sizes[1], degrees)


def _below(bin_U: NDArray[np.int64], count_U: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row, what `count` has in lower bins, and half of what it has in the same one."""
    _, place_U = np.unique(bin_U, return_inverse=True)
    count_B = np.bincount(place_U, count_U)
    below: NDArray[np.float64] = (np.cumsum(count_B) - count_B / 2)[place_U]
    return below
