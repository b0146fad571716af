"""Deterministic splits, stratified by label.

Every example gets the rank (k + ½)/n_c, where k is its place in a seeded permutation of its class and
n_c the size of that class; sorting by rank interleaves the classes in proportion. Cutting that order
gives splits of exactly the sizes asked for, and any prefix of a split is stratified too (to one
example a class), so "the first N training examples" is always a fair sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["stratified"]


def stratified(
    labels_N: NDArray[np.int64], sizes: Mapping[str, int], *, rest: str, seed: int
) -> dict[str, NDArray[np.int64]]:
    """Row indices of each split: `sizes` first, in their order, and whatever is left under `rest`.

    Raises `ValueError` when `sizes` leave nothing for `rest`.
    """
    if sum(sizes.values()) >= len(labels_N):
        raise ValueError(f"{dict(sizes)} leave nothing for {rest!r} of {len(labels_N)} examples")
    rng = np.random.default_rng(seed)
    rank_N = np.empty(len(labels_N))
    for label in np.unique(labels_N):
        members = np.flatnonzero(labels_N == label)
        rank_N[rng.permutation(members)] = (np.arange(len(members)) + 0.5) / len(members)
    order_N = np.lexsort((rng.random(len(labels_N)), rank_N))
    cuts = np.cumsum(list(sizes.values()))
    parts = np.split(order_N, cuts)
    return dict(zip((*sizes, rest), parts, strict=True))
