"""The one small type behind every data set.

Legend for shapes: N examples of a split, C×H×W image, W encoded table width.
Inputs are numpy arrays (uint8 or float32 images N×C×H×W; float32 encoded rows N×W) or a list of N
texts; `uint8` images mean value/255. Images too many for memory are `StreamedImages` (streamed.py), of
which an index gives an array. Nothing here imports torch, so listing and validating are quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from raiaudit.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.attacks.spaces import InputSpace

__all__ = ["Dataset", "Inputs", "LazySplits", "Modality", "Split", "is_streamed", "joined", "take"]

Modality = Literal["image", "text", "tabular"]
Inputs = Any
"""NDArray (images, tables), StreamedImages (images left on disk) or list[str] (texts)."""


def take(inputs: Inputs, index: NDArray[np.int64] | slice) -> Inputs:
    """Rows of `inputs`, whatever the modality; what is on disk stays there."""
    if isinstance(inputs, list):
        return inputs[index] if isinstance(index, slice) else [inputs[i] for i in index]
    return inputs.rows(index) if is_streamed(inputs) else inputs[index]


def joined(first: Inputs, second: Inputs) -> Inputs:
    """The inputs of two splits of one data set, one after the other."""
    if isinstance(first, list):
        return first + second
    return first.followed_by(second) if is_streamed(first) else np.concatenate([first, second])


def is_streamed(inputs: Inputs) -> bool:
    """Whether inputs are images left on disk, that are read when they are indexed."""
    return getattr(inputs, "streamed", False)


@dataclass(frozen=True, slots=True)
class Split:
    """N examples: `ids` (stable strings), `inputs`, `labels` (int64 class indices), `groups`, `links`.

    `groups` has one String column per sensitive attribute (possibly none) and N rows; a missing
    value is the level "unknown". Examples of one subject share their value of `links`, if the data say so;
    "unknown" links nothing. Raises `DataError` when the lengths differ.
    """

    ids: pl.Series
    inputs: Inputs
    labels: NDArray[np.int64]
    groups: pl.DataFrame = field(default_factory=pl.DataFrame)
    links: pl.Series | None = None

    def __post_init__(self) -> None:
        lengths = {"ids": len(self.ids), "inputs": len(self.inputs), "labels": len(self.labels)}
        if self.groups.width:
            lengths["groups"] = self.groups.height
        if self.links is not None:
            lengths["links"] = len(self.links)
        if len(set(lengths.values())) != 1:
            raise DataError(f"columns of one split differ in length: {lengths}")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: NDArray[np.int64] | slice) -> Split:
        """The same columns, restricted to `index`."""
        groups = self.groups[index] if self.groups.width else self.groups
        links = None if self.links is None else self.links[index]
        return Split(self.ids[index], take(self.inputs, index), self.labels[index], groups, links)


class LazySplits(Mapping[str, Split]):
    """Splits by name, loaded together on first use."""

    def __init__(self, names: tuple[str, ...], load: Callable[[], Mapping[str, Split]]) -> None:
        self._names = names
        self._load = load
        self._loaded: Mapping[str, Split] | None = None

    def __getitem__(self, name: str) -> Split:
        if name not in self._names:
            raise KeyError(name)
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set with splits "train", "validation" and "test" that never share an example.

    `digest` is the sha256 (hex) of the source content and the loader's version: two equal digests
    mean equal splits. `space` says what an input is and what an adversary may change.
    `group_names` are the columns of every split's `groups`, known without loading.
    """

    name: str
    modality: Modality
    classes: tuple[str, ...]
    space: InputSpace
    splits: Mapping[str, Split]
    digest: str
    group_names: tuple[str, ...] = ()
    source: str = ""
    licence: str = ""
