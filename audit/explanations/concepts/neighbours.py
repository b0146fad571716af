"""Nearest training examples in a layer, exactly: every pair is measured, in float64.

Shapes: B queries, M candidates, D width of the layer, k neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Metric", "nearest"]

Metric = Literal["cosine", "l2"]
_PAIRS = 1 << 24  # similarities held at once


def nearest(
    query_BD: Tensor, pool_MD: Tensor, k: int, *, metric: Metric, itself_B: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """index_Bk and similarity_Bk, nearest first: the cosine, or minus the distance.

    `itself_B` is each query's own place in the pool, left out. A zero vector has cosine 0 with everything.
    Raises `ValueError` for more neighbours than there are.
    """
    import torch

    if not 1 <= k <= len(pool_MD) - (itself_B is not None):
        raise ValueError(f"{k} neighbours of {len(pool_MD)} examples")
    pool = pool_MD.double()
    if metric == "cosine":
        pool = torch.nn.functional.normalize(pool, dim=1)
    squares_M = (pool**2).sum(1)
    rows = max(1, _PAIRS // len(pool))
    places, values = [], []
    for start in range(0, len(query_BD), rows):
        query = query_BD[start : start + rows].double()
        if metric == "cosine":
            similarity = torch.nn.functional.normalize(query, dim=1) @ pool.T
        else:
            squared = (query**2).sum(1, keepdim=True) + squares_M - 2 * query @ pool.T
            similarity = -squared.clamp_min(0).sqrt()
        if itself_B is not None:
            own = itself_B[start : start + rows, None]
            similarity.scatter_(1, own, -float("inf"))
        best = torch.sort(similarity, dim=1, descending=True, stable=True)
        places.append(best.indices[:, :k])
        values.append(best.values[:, :k])
    return torch.cat(places), torch.cat(values)
