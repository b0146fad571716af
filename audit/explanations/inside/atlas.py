"""An activation atlas: a layer's pooled activations laid out in the plane, and cut into cells.

Carter, Armstrong, Schubert, Johnson, Olah 2019, doi:10.23915/distill.00015; the plane by t-SNE (van der
Maaten, Hinton, JMLR 9 (2008) 2579) begun at the first two principal components, or by these alone. How far
neighbours in the plane are neighbours in the layer is told by trustworthiness (Venna, Kaski 2001,
doi:10.1007/3-540-44668-0_68): 1 is all.

Shapes: N examples, C channels; place_N2 in [0, 1]².
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Embedding", "cells_of", "embedded", "trust"]

Embedding = Literal["tsne", "pca"]

_COMPONENTS = 30
_PERPLEXITY = 30.0
_NEIGHBOURS = 10


def embedded(pooled_NC: NDArray[np.float64], embedding: Embedding, *, seed: int) -> NDArray[np.float64]:
    """place_N2; where nothing varies, the middle."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    rows, channels = pooled_NC.shape
    if (pooled_NC == pooled_NC[0]).all():
        return np.full((rows, 2), 0.5)
    count = min(_COMPONENTS, channels, rows)
    main = PCA(count, svd_solver="full").fit_transform(pooled_NC - pooled_NC.mean(0))
    main = np.pad(main, ((0, 0), (0, max(0, 2 - count))))
    place = main[:, :2]
    if embedding == "tsne" and rows >= 4:
        perplexity = min(_PERPLEXITY, (rows - 1) / 3)
        place = TSNE(
            perplexity=perplexity, init=place / place[:, 0].std() * 1e-4, random_state=seed
        ).fit_transform(main)
    low, span = place.min(0), np.ptp(place, axis=0)
    return np.where(span > 0, (place - low) / np.where(span > 0, span, 1), 0.5).astype(np.float64)


def trust(pooled_NC: NDArray[np.float64], place_N2: NDArray[np.float64]) -> float | None:
    """Trustworthiness of the plane, or None for fewer examples than it is defined for."""
    from sklearn.manifold import trustworthiness

    neighbours = min(_NEIGHBOURS, (len(pooled_NC) - 1) // 2)
    if neighbours < 1 or len(pooled_NC) <= 2 * neighbours:
        return None
    return float(trustworthiness(pooled_NC, place_N2, n_neighbors=neighbours))


def cells_of(place_N2: NDArray[np.float64], grid: int) -> NDArray[np.int64]:
    """column and row (from the top) of each example's cell, N×2: every example lies in one."""
    cell_N2: NDArray[np.int64] = np.minimum((place_N2 * grid).astype(np.int64), grid - 1)
    cell_N2[:, 1] = grid - 1 - cell_N2[:, 1]
    return cell_N2
