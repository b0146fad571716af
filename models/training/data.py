"""The examples of a split as training takes them: whole on the device, or read while it computes.

A set that fits is held on the device (images as the bytes they are) and a batch is an index: no worker
processes. Images that were left on disk (`models/data/streamed.py`) are read batch by batch, the next
one in a thread while this one is used.

Shapes: N examples, B a batch; images N×C×H×W, rows N×W, token ids N×L.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from raiaudit.models.architectures.tokenizer import PADDING
from raiaudit.models.data.dataset import is_streamed

if TYPE_CHECKING:
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.data.dataset import Split

__all__ = ["Batch", "Examples", "accuracy"]

_EVALUATION_BATCH = 512


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs as `forward` takes them, labels_B, and which rows of the split they are."""

    x: Tensor
    y_B: Tensor
    index_B: Tensor


@dataclass(frozen=True, slots=True)
class Examples:
    """Encoded inputs and int64 labels of N examples. `inputs` is a tensor on the labels' device, or an
    array that reads uint8 images from disk when indexed.
    """

    inputs: Any
    labels_N: Tensor

    @classmethod
    def of(cls, split: Split, classifier: Classifier, device: torch.device) -> Examples:
        """The whole split; uint8 images stay uint8, a quarter of the memory of floats."""
        raw, labels_N = split.inputs, torch.from_numpy(split.labels).to(device)
        if is_streamed(raw):
            return cls(raw, labels_N)
        is_bytes = isinstance(raw, np.ndarray) and raw.dtype == np.uint8
        inputs = torch.from_numpy(raw) if is_bytes else classifier.encode(raw)
        return cls(inputs.to(device), labels_N)

    def __len__(self) -> int:
        return len(self.labels_N)

    @property
    def scalars(self) -> int:
        """Numbers in one input."""
        return math.prod(self.inputs.shape[1:])

    def batch(self, index_B: Tensor) -> Batch:
        """The rows at `index_B`; token ids lose the columns that are all padding."""
        x, y_B = self._read(index_B), self.labels_N[index_B]
        if x.dtype == torch.uint8:
            x = x.float().div_(255)
        elif x.dtype == torch.int64:
            x = x[:, : max(1, int((x != PADDING).sum(1).amax()) if len(x) else 1)]
        return Batch(x, y_B, index_B)

    def batches(self, indices: Iterable[Tensor]) -> Iterator[Batch]:
        """One batch for each index tensor, in order; images on disk are read one batch ahead."""
        if isinstance(self.inputs, Tensor):
            yield from map(self.batch, indices)
            return
        with ThreadPoolExecutor(1) as reader:
            ahead = None
            for index_B in indices:
                next_one = reader.submit(self.batch, index_B)
                if ahead is not None:
                    yield ahead.result()
                ahead = next_one
            if ahead is not None:
                yield ahead.result()

    def spread(self, most: int) -> Examples:
        """At most `most` examples, evenly spaced over the split, held on the device."""
        if len(self) <= most and isinstance(self.inputs, Tensor):
            return self
        index = torch.linspace(0, len(self) - 1, min(most, len(self)), device=self.labels_N.device).long()
        return Examples(self._read(index), self.labels_N[index])

    def _read(self, index_B: Tensor) -> Tensor:
        if isinstance(self.inputs, Tensor):
            return self.inputs[index_B]
        return torch.from_numpy(self.inputs[index_B.cpu().numpy()]).to(self.labels_N.device)


@torch.no_grad()
def accuracy(classifier: Classifier, examples: Examples) -> float:
    """Share of correct predictions in evaluation mode; the mode is restored."""
    was_training = classifier.training
    classifier.eval()
    right = 0
    everything = torch.arange(len(examples), device=examples.labels_N.device)
    for batch in examples.batches(torch.split(everything, _EVALUATION_BATCH)):
        right += int((classifier(batch.x).argmax(1) == batch.y_B).sum())
    classifier.train(was_training)
    return right / len(examples)
