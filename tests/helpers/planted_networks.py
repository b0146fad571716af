"""Networks with nothing to follow, and what a network answers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Flat(nn.Module):
    """Always class 0 of two or three, with a gradient of zero, or of NaN."""

    def __init__(self, kind: str, classes: int) -> None:
        super().__init__()
        self.kind, self.classes = kind, classes

    def forward(self, x: Tensor) -> Tensor:
        """logits_BK."""
        nothing = x.flatten(1).sum(1) * 0
        odd = nothing if self.kind == "zero" else nothing.sqrt()
        return torch.stack([odd + 1, odd, odd - 1][: self.classes], dim=1)


def labels_of(model: nn.Module, x: Tensor) -> Tensor:
    """What it answers in evaluation mode; its mode stays."""
    mode = model.training
    with torch.no_grad():
        labels: Tensor = model.eval()(x).argmax(1)
    model.train(mode)
    return labels
