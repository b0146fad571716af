"""The difference of two areas under the ROC curve on the same examples, after DeLong et al. (1988).

doi:10.2307/2531595: each example's placement among the other side is computed for both scores, and the
variance of the difference is that of the paired differences of placements.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from raiaudit.audit.statistics.intervals import Interval, auc_delong, difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["paired_auc_difference", "paired_auc_p"]


def paired_auc_difference(
    a_pos: NDArray[np.float64],
    a_neg: NDArray[np.float64],
    b_pos: NDArray[np.float64],
    b_neg: NDArray[np.float64],
    confidence: float = 0.95,
) -> Interval:
    """AUC(a) − AUC(b); entry i of `a_pos` and `b_pos` is one positive, likewise for the negatives.

    Where no variance was observed, the interval of two independent estimates, which is wider. Raises
    `ValueError` for sides of different or no length.
    """
    gap, variance = _gap(a_pos, a_neg, b_pos, b_neg)
    if variance <= 1e-15:
        a, b = auc_delong(a_pos, a_neg, confidence), auc_delong(b_pos, b_neg, confidence)
        return difference(a.value or 0.0, Interval(a.low, a.high), b.value or 0.0, Interval(b.low, b.high))
    half = float(ndtri(0.5 + confidence / 2)) * float(np.sqrt(variance))
    return Interval(max(-1.0, gap - half), min(1.0, gap + half))


def paired_auc_p(
    a_pos: NDArray[np.float64],
    a_neg: NDArray[np.float64],
    b_pos: NDArray[np.float64],
    b_neg: NDArray[np.float64],
) -> float:
    """Two-sided p-value of equal areas, by the same variance; 1 where none was observed, for then nothing is
    known of chance. Raises as `paired_auc_difference` does.
    """
    gap, variance = _gap(a_pos, a_neg, b_pos, b_neg)
    if variance <= 1e-15:
        return 1.0
    return float(2 * ndtr(-abs(gap) / math.sqrt(variance)))


def _gap(
    a_pos: NDArray[np.float64],
    a_neg: NDArray[np.float64],
    b_pos: NDArray[np.float64],
    b_neg: NDArray[np.float64],
) -> tuple[float, float]:
    """AUC(a) − AUC(b) and its variance."""
    if len(a_pos) != len(b_pos) or len(a_neg) != len(b_neg) or not (len(a_pos) and len(a_neg)):
        raise ValueError("both scores need the same positives and negatives, at least one of each")
    above, below = zip(_placements(a_pos, a_neg), _placements(b_pos, b_neg), strict=True)
    variance = 0.0
    if len(a_pos) > 1 and len(a_neg) > 1:
        variance = sum(float((x - y).var(ddof=1)) / len(x) for x, y in (above, below))
    return float(above[0].mean() - above[1].mean()), variance


def _placements(
    pos_M: NDArray[np.float64], neg_N: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The share of negatives below each positive, and of positives above each negative; ties count half."""
    from scipy.stats import rankdata

    m, n = len(pos_M), len(neg_N)
    ranks = rankdata(np.concatenate([pos_M, neg_N]))
    return (ranks[:m] - rankdata(pos_M)) / n, 1 - (ranks[m:] - rankdata(neg_N)) / m
