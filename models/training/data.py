"""A split held whole on the device: no worker processes, a batch is an index.

Shapes: N examples, B a batch; images N×C×H×W (kept uint8 if they come so), rows N×W, token ids N×L.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.models.architectures.text_transformer import PADDING

if TYPE_CHECKING:
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.data.dataset import Split
    from raiaudit.models.recipe import Augmentation

__all__ = ["Examples", "accuracy", "augmented"]

_EVALUATION_BATCH = 512


@dataclass(frozen=True, slots=True)
class Examples:
    """Encoded inputs and int64 labels of N examples, on one device."""

    inputs: Tensor
    labels_N: Tensor

    @classmethod
    def of(cls, split: Split, classifier: Classifier, device: torch.device) -> Examples:
        """The whole split; uint8 images stay uint8, a quarter of the memory of floats."""
        raw = split.inputs
        is_bytes = isinstance(raw, np.ndarray) and raw.dtype == np.uint8
        inputs = torch.from_numpy(raw) if is_bytes else classifier.encode(raw)
        return cls(inputs.to(device), torch.from_numpy(split.labels).to(device))

    def __len__(self) -> int:
        return len(self.labels_N)

    def batch(self, index_B: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs as `forward` takes them, and labels; token ids lose the columns that are all padding."""
        x, y_B = self.inputs[index_B], self.labels_N[index_B]
        if x.dtype == torch.uint8:
            return x.float().div_(255), y_B
        if x.dtype == torch.int64:
            return x[:, : max(1, int((x != PADDING).sum(1).amax()) if len(x) else 1)], y_B
        return x, y_B

    def spread(self, most: int) -> Examples:
        """At most `most` examples, evenly spaced over the split."""
        if len(self) <= most:
            return self
        index = torch.linspace(0, len(self) - 1, most, device=self.labels_N.device).long()
        return Examples(self.inputs[index], self.labels_N[index])


@torch.no_grad()
def accuracy(classifier: Classifier, examples: Examples) -> float:
    """Share of correct predictions in evaluation mode; the mode is restored."""
    was_training = classifier.training
    classifier.eval()
    right = 0
    everything = torch.arange(len(examples), device=examples.labels_N.device)
    for index_B in torch.split(everything, _EVALUATION_BATCH):
        x, y_B = examples.batch(index_B)
        right += int((classifier(x).argmax(1) == y_B).sum())
    classifier.train(was_training)
    return right / len(examples)


def augmented(x_BCHW: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Each image moved by its own random offset over a black border; "crop-flip" also mirrors half.

    "shift" moves by at most H/14 pixels (1 at 8×8, 2 at 28×28), "crop-flip" by H/8 (4 at 32×32).
    """
    if how == "none":
        return x_BCHW
    B, _, H, W = x_BCHW.shape
    device = x_BCHW.device
    reach = max(1, H // 14) if how == "shift" else max(1, H // 8)
    padded = functional.pad(x_BCHW, (reach,) * 4)
    top_B, left_B = torch.randint(0, 2 * reach + 1, (2, B), generator=generator, device=device)
    rows_BH = top_B[:, None] + torch.arange(H, device=device)
    columns_BW = left_B[:, None] + torch.arange(W, device=device)
    if how == "crop-flip":
        mirrored_B = torch.rand(B, generator=generator, device=device) < 0.5
        columns_BW = torch.where(mirrored_B[:, None], columns_BW.flip(1), columns_BW)
    moved_BHWC = padded.permute(0, 2, 3, 1)[
        torch.arange(B, device=device)[:, None, None], rows_BH[:, :, None], columns_BW[:, None, :]
    ]
    return moved_BHWC.permute(0, 3, 1, 2)
