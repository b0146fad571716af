"""What image data sets share: a sensitive-attribute stand-in derived from the pixels.

Plain image sets carry no groups, yet every cross-pillar question (robust accuracy by group,
membership risk by group) needs one. Mean intensity below or above the median of the training split
gives two groups of about equal size that a person can see. It stands in for a sensitive attribute; it
is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.models.data.dataset import Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["intensity_splits"]

Part = tuple[list[str], "NDArray[np.uint8] | NDArray[np.float32]", "NDArray[np.int64]"]
"""ids, images N×C×H×W and labels of one split."""


def intensity_splits(parts: Mapping[str, Part], *, group: str, levels: tuple[str, str]) -> dict[str, Split]:
    """Splits with a column `group`: `levels[0]` if mean intensity < its training median, else the other."""
    means = {name: images.mean(axis=(1, 2, 3)) for name, (_, images, _) in parts.items()}
    median = np.median(means["train"])
    return {
        name: Split(
            ids=pl.Series("id", ids, dtype=pl.String),
            inputs=images,
            labels=labels,
            groups=pl.DataFrame({group: np.where(means[name] < median, *levels)}, schema={group: pl.String}),
        )
        for name, (ids, images, labels) in parts.items()
    }
