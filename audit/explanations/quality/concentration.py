"""How many features a map names: complexity and sparseness. Neither says whether it is right.

Complexity: entropy of the shares |Φ_f| / Σ|Φ| (U. Bhatt, A. Weller, J. Moura, arXiv:2005.00631), divided by
the logarithm of the number of features: 0 one feature, 1 all alike. Sparseness: the Gini index of |Φ| (P.
Chalasani et al., arXiv:1810.06583): 0 all alike, 1 − 1/n one feature. Shapes: B examples, F features; absent
ones (padding) do not count. NaN for a map of zeros or of fewer than two features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["complexity", "sparseness"]


def complexity(scores_BF: NDArray[np.float64], present_BF: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Normalised entropy, in [0, 1]."""
    size_BF = np.abs(scores_BF) * present_BF
    count_B = present_BF.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share_BF = size_BF / size_BF.sum(axis=1, keepdims=True)
        entropy_B = -np.where(share_BF > 0, share_BF * np.log(share_BF), 0.0).sum(axis=1) / np.log(count_B)
    return np.where(_defined(size_BF, count_B), entropy_B, np.nan)


def sparseness(scores_BF: NDArray[np.float64], present_BF: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Gini index, in [0, 1)."""
    size_BF = np.abs(scores_BF) * present_BF
    count_B = present_BF.sum(axis=1)
    # Absent features are zeros and sort first: their ranks are 0 or below.
    rank_BF = np.arange(1, size_BF.shape[1] + 1) - (size_BF.shape[1] - count_B)[:, None]
    weight_BF = 2 * rank_BF - count_B[:, None] - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        gini_B = (weight_BF * np.sort(size_BF, axis=1)).sum(axis=1) / (count_B * size_BF.sum(axis=1))
    return np.where(_defined(size_BF, count_B), gini_B, np.nan)


def _defined(size_BF: NDArray[np.float64], count_B: NDArray[np.int64]) -> NDArray[np.bool_]:
    defined: NDArray[np.bool_] = (size_BF.sum(axis=1) > 0) & (count_B > 1)
    return defined
