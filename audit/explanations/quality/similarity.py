"""How alike two maps of the same inputs are: rank correlation and SSIM.

Spearman's rank correlation, of the values and of their absolute values, as in the randomisation test (Adebayo
et al., arXiv:1810.03292). SSIM: Z. Wang et al., doi:10.1109/TIP.2003.819861, Gaussian window σ = 1.5, of
|map| scaled to [0, 1]. Shapes: B examples, F features; images F = H·W. NaN where a map is constant (no ranks
to compare) and, for SSIM, where it is zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["spearman", "ssim"]

_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2


def spearman(
    a_BF: NDArray[np.float64], b_BF: NDArray[np.float64], present_BF: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Rank correlation over the present features of each row, ties at their mean rank; B."""
    from scipy.stats import rankdata

    if present_BF.all():
        return _correlation(rankdata(a_BF, axis=1), rankdata(b_BF, axis=1))
    rows = [
        _correlation(rankdata(a[here])[None], rankdata(b[here])[None])[0] if here.any() else np.nan
        for a, b, here in zip(a_BF, b_BF, present_BF, strict=True)
    ]
    return np.array(rows, dtype=np.float64)


def _correlation(a_BF: NDArray[np.float64], b_BF: NDArray[np.float64]) -> NDArray[np.float64]:
    a_BF, b_BF = a_BF - a_BF.mean(axis=1, keepdims=True), b_BF - b_BF.mean(axis=1, keepdims=True)
    norm_B = np.sqrt((a_BF**2).sum(axis=1) * (b_BF**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norm_B > 0, (a_BF * b_BF).sum(axis=1) / norm_B, np.nan)


def ssim(a_BF: NDArray[np.float64], b_BF: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Mean structural similarity of the maps' sizes over the picture, B."""
    from scipy.ndimage import gaussian_filter

    def smooth(image_BHW: NDArray[np.float64]) -> NDArray[np.float64]:
        blurred = gaussian_filter(image_BHW, sigma=(0, _SIGMA, _SIGMA), truncate=3.5)
        return np.asarray(blurred, dtype=np.float64)

    a, b = (_unit(np.abs(maps)).reshape(-1, *shape) for maps in (a_BF, b_BF))
    mean_a, mean_b = smooth(a), smooth(b)
    var_a, var_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
    both = smooth(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    structure = (2 * both + _C2) / (var_a + var_b + _C2)
    alike_B: NDArray[np.float64] = (luminance * structure).mean(axis=(1, 2))
    return alike_B


def _unit(size_BF: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return size_BF / np.where(size_BF.max(axis=1) > 0, size_BF.max(axis=1), np.nan)[:, None]
