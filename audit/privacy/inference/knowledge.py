"""What an adversary knows of an example without asking the model: features for an attack that learns.

Images: grey, averaged over blocks down to at most 8×8. Tables: the encoded row. Texts: counts of words in
64 buckets (CRC-32), as log(1 + n). To all the label is added, one-hot: nothing depends on the model.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

import numpy as np

from raiaudit.models.data.dataset import take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from raiaudit.models.data.dataset import Split

__all__ = ["features_of"]

_SIDE, _BUCKETS, _BATCH = 8, 64, 512
_WORD = re.compile(r"\w+")


def features_of(points: Split, classes: int) -> NDArray[np.float64]:
    """features_ND."""
    labels_NK = np.eye(classes)[points.labels]
    if isinstance(points.inputs, list):
        known_ND = _word_counts(points.inputs)
    else:
        starts = range(0, len(points), _BATCH)
        batches = [np.asarray(take(points.inputs, slice(s, s + _BATCH)), np.float64) for s in starts]
        known_ND = np.concatenate([_pooled(x) if x.ndim == 4 else x.reshape(len(x), -1) for x in batches])
    return np.hstack([known_ND, labels_NK])


def _pooled(x_BCHW: NDArray[np.float64]) -> NDArray[np.float64]:
    """Block means of the grey image, one row an image; a last block that is not full is left out."""
    grey_BHW = x_BCHW.mean(1)
    batch, height, width = grey_BHW.shape
    down, across = -(-height // _SIDE), -(-width // _SIDE)
    rows, columns = height // down, width // across
    blocks = grey_BHW[:, : rows * down, : columns * across].reshape(batch, rows, down, columns, across)
    return np.asarray(blocks.mean((2, 4)).reshape(batch, rows * columns))


def _word_counts(texts: Sequence[str]) -> NDArray[np.float64]:
    counts_ND = np.zeros((len(texts), _BUCKETS))
    for row, text in enumerate(texts):
        for word in _WORD.findall(text.lower()):
            counts_ND[row, zlib.crc32(word.encode()) % _BUCKETS] += 1
    return np.log1p(counts_ND)
