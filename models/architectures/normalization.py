"""Standardisation inside the model: (x − mean) / std with statistics held as buffers.

Shapes: images N×C×H×W (uint8 means value/255), rows N×W. Statistics are fitted on the training split
alone and travel with the weights.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.attacks.spaces import TableSchema

__all__ = ["Normalization", "Standardization"]

Normalization = Literal["train", "fixed", "none"]
"""train: statistics of the training split; fixed: constants (tables: the schema's ranges), for privacy; none:
inputs go in as they are, for outside weights that were trained so."""

_CHUNK, _CHUNK_VALUES = 4096, 2**24  # images, and numbers in them, held as float64 at a time
_FIXED_MEAN, _FIXED_STD = 0.5, 0.25  # of a [0, 1] image


class Standardization(nn.Module):
    """Per-channel (images, shape C×1×1) or per-slot (tables, shape W) standardisation."""

    mean: Tensor
    std: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Inputs of any batch size, standardised."""
        return (x - self.mean) / self.std

    def fit_images(self, images_NCHW: NDArray[Any], normalization: Normalization) -> None:
        """Mean and deviation of each channel, accumulated in chunks so that memory stays flat."""
        if normalization == "none":
            return
        if normalization == "fixed":
            self.mean.fill_(_FIXED_MEAN)
            self.std.fill_(_FIXED_STD)
            return
        scale = 255.0 if images_NCHW.dtype == np.uint8 else 1.0
        channels = images_NCHW.shape[1]
        step = min(_CHUNK, max(1, _CHUNK_VALUES // math.prod(images_NCHW.shape[1:])))
        total, squares, count = np.zeros(channels), np.zeros(channels), 0
        for start in range(0, len(images_NCHW), step):
            chunk = images_NCHW[start : start + step].astype(np.float64) / scale
            total += chunk.sum(axis=(0, 2, 3))
            squares += np.square(chunk).sum(axis=(0, 2, 3))
            count += chunk.size // channels
        mean = total / count
        self._set(mean, np.sqrt(np.maximum(squares / count - mean**2, 0.0)))

    def fit_table(self, rows_NW: NDArray[Any], schema: TableSchema, normalization: Normalization) -> None:
        """Centre and scale of each real or integer column; one-hot slots pass unchanged."""
        if normalization == "none":
            return
        mean, std = np.zeros(schema.width), np.ones(schema.width)
        for column in schema.columns:
            slots = schema.slices[column.name]
            if column.kind == "category":
                continue
            if normalization == "fixed":
                mean[slots], std[slots] = (column.low + column.high) / 2, (column.high - column.low) / 4
            else:
                values = rows_NW[:, slots].astype(np.float64)
                mean[slots], std[slots] = values.mean(), values.std()
        self._set(mean, std)

    def _set(self, mean: NDArray[np.float64], std: NDArray[np.float64]) -> None:
        std = np.where(std < 1e-6, 1.0, std)  # a constant channel carries nothing to scale
        self.mean.copy_(torch.from_numpy(mean).reshape(self.mean.shape))
        self.std.copy_(torch.from_numpy(std).reshape(self.std.shape))
