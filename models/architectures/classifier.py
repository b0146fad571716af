"""The base of every architecture: an `nn.Module` from inputs to logits that carries its own preprocessing.

Shapes: inputs_B… as the modality has them (images B×C×H×W float in [0, 1], token ids B×L int64,
encoded table rows B×W float32); logits_BK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset, Inputs, Modality

__all__ = ["Classifier"]


class Classifier(nn.Module):
    """Base class. A subclass sets `architecture` and `modality` and rebuilds itself from `config`.

    `config` is plain JSON data: `type(model)(**model.config)` has the same parameters and buffers
    (normalisation statistics are buffers, so they travel with the weights).
    """

    architecture: ClassVar[str]
    modality: ClassVar[Modality]
    config: dict[str, Any]
    classes: int

    @classmethod
    def for_dataset(cls, dataset: Dataset, **options: Any) -> Classifier:
        """A fresh model whose shape and preprocessing are fitted on the training split alone."""
        raise NotImplementedError

    def encode(self, inputs: Inputs) -> Tensor:
        """Raw inputs of a split to the tensor `forward` takes (on the CPU).

        uint8 images become float32 in [0, 1]; texts are tokenised by the subclass that has a tokenizer.
        """
        array = np.asarray(inputs)
        if array.dtype == np.uint8:
            return torch.from_numpy(array).float().div_(255)
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs_B… → logits_BK."""
        raise NotImplementedError
