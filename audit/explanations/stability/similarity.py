"""How alike two maps are: the most relevant features they share, their order, where their weight lies.

Top-k intersection and rank correlation as in arXiv:1710.10547; the centre of mass of |map| over an image.
Shapes: B examples, F features; maps_BF scores of any sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Maps = NDArray[np.float64]

__all__ = ["centre_shift", "most_relevant", "rank_correlation", "relative_change", "top_overlap"]


def most_relevant(maps_BF: Maps, count: int) -> NDArray[np.bool_]:
    """Which features have the `count` largest |scores|; of equals the first, so that equal maps agree."""
    order_BF = np.argsort(-np.abs(maps_BF), axis=1, kind="stable")
    mask_BF = np.zeros(maps_BF.shape, dtype=bool)
    np.put_along_axis(mask_BF, order_BF[:, :count], True, axis=1)
    return mask_BF


def top_overlap(before_BF: Maps, after_BF: Maps, count: int) -> Maps:
    """|top(before) ∩ top(after)| / count, in [0, 1]; two random maps share count / F on average."""
    shared_BF = most_relevant(before_BF, count) & most_relevant(after_BF, count)
    return np.asarray(shared_BF.sum(axis=1) / count)


def rank_correlation(before_BF: Maps, after_BF: Maps) -> Maps:
    """Spearman's, of each pair; NaN where a map is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(maps, axis=1) for maps in (before_BF, after_BF)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    spread = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    found: Maps = np.divide((a * b).sum(axis=1), spread, out=np.full(len(a), np.nan), where=spread > 0)
    return found


def relative_change(before_BF: Maps, after_BF: Maps) -> Maps:
    """‖after − before‖₂ / ‖before‖₂; NaN where the map before is zero."""
    size = np.linalg.norm(before_BF, axis=1)
    change = np.linalg.norm(after_BF - before_BF, axis=1)
    found: Maps = np.divide(change, size, out=np.full(len(size), np.nan), where=size > 0)
    return found


def centre_shift(before_BF: Maps, after_BF: Maps, sides: tuple[int, int]) -> Maps:
    """How far the centre of mass moved, in pixels; NaN where a map is zero."""
    return np.asarray(np.linalg.norm(_centre(after_BF, sides) - _centre(before_BF, sides), axis=1))


def _centre(maps_BF: Maps, sides: tuple[int, int]) -> Maps:
    at_F2 = np.stack(np.meshgrid(*map(np.arange, sides), indexing="ij"), axis=-1).reshape(-1, 2)
    weight_BF = np.abs(maps_BF)
    total = weight_BF.sum(axis=1, keepdims=True)
    out_B2 = np.full((len(total), 2), np.nan)
    found: Maps = np.divide(weight_BF @ at_F2, total, out=out_B2, where=total > 0)
    return found
