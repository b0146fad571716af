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
from raiaudit.models.data.splitting import stratified

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["intensity_splits", "official_splits"]

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


def official_splits(
    train: tuple[NDArray[np.uint8], NDArray[np.int64]],
    test: tuple[NDArray[np.uint8], NDArray[np.int64]],
    *,
    validation: int,
) -> dict[str, Split]:
    """The official test set as it is; `validation` stratified examples held out of the official train set.

    Ids are `train/<row>` and `test/<row>` of the official files, five digits; the group is `brightness`.
    """
    images, labels = train
    index = stratified(labels, {"validation": validation}, rest="train", seed=0)
    parts: dict[str, Part] = {
        name: ([f"train/{row:05d}" for row in index[name]], images[index[name]], labels[index[name]])
        for name in ("train", "validation")
    }
    parts["test"] = ([f"test/{row:05d}" for row in range(len(test[1]))], *test)
    return intensity_splits(parts, group="brightness", levels=("dark", "bright"))
