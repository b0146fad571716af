"""The reference network of private training on MNIST (Papernot et al., arXiv:2007.14191; Tramèr & Boneh,
arXiv:2011.11660): 26,010 parameters at 28×28×1 and 10 classes.

Its activation is the tempered sigmoid s·σ(T·x) − o, which bounds activations and so the gradients that DP-SGD
clips; (s, T, o) = (2, 2, 1) is tanh. It has no norm.

Shapes: x_BCHW in [0, 1], H and W at least 16 → logits_BK.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raiaudit.errors import UsageError
from raiaudit.models.architectures.classifier import NonNegative, Positive
from raiaudit.models.architectures.images import ImageClassifier
from raiaudit.models.architectures.normalization import Normalization

__all__ = ["TemperedCNN"]

_SMALLEST = 16  # pixels of a side that leave something to the last pooling


class TemperedCNN(ImageClassifier):
    """conv 8×8 /2 → pool → conv 4×4 /2 → pool → linear `hidden` → linear K; the pools are 2×2, stride 1."""

    architecture = "tempered_cnn"

    def __init__(
        self,
        shape: list[int],
        classes: int,
        *,
        width: int = 16,
        hidden: int = 32,
        scale: Positive = 2.0,
        temperature: Positive = 2.0,
        offset: NonNegative = 1.0,
        normalization: Normalization = "train",
    ) -> None:
        channels, height, breadth = shape
        if min(height, breadth) < _SMALLEST:
            raise UsageError(
                f"images of {height}×{breadth} are too small for architecture {self.architecture!r}",
                where="options",
                remedy=f"choose cnn, or images of {_SMALLEST} pixels and more",
            )
        super().__init__(
            shape,
            classes,
            width=width,
            hidden=hidden,
            scale=scale,
            temperature=temperature,
            offset=offset,
            normalization=normalization,
        )
        sides = (((side - 4) // 2 - 4) // 2 for side in (height, breadth))
        pixels = 1
        for side in sides:
            pixels *= side
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 8, stride=2, padding=2),
            TemperedSigmoid(scale, temperature, offset),
            nn.MaxPool2d(2, 1),
            nn.Conv2d(width, 2 * width, 4, stride=2),
            TemperedSigmoid(scale, temperature, offset),
            nn.MaxPool2d(2, 1),
            nn.Flatten(),
            nn.Linear(pixels * 2 * width, hidden),
            TemperedSigmoid(scale, temperature, offset),
            nn.Linear(hidden, classes),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BCHW → logits_BK."""
        logits: Tensor = self.layers(self.standardize(inputs))
        return logits


class TemperedSigmoid(nn.Module):
    """s·σ(T·x) − o."""

    def __init__(self, scale: float, temperature: float, offset: float) -> None:
        super().__init__()
        self.scale, self.temperature, self.offset = scale, temperature, offset

    def forward(self, x: Tensor) -> Tensor:
        """x → an activation of the same shape."""
        return self.scale * torch.sigmoid(self.temperature * x) - self.offset
