"""A linear classifier of square images whose distance to the border has a closed form, and its data set."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from torch import Tensor

from raiaudit.attacks.spaces import ImageBox
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Linear(Classifier):
    """Logits (0, w·(x − ½)): the L2 distance to the border is |w·(x − ½)| / ‖w‖, in L∞ the dual norm divides.

    A third class, if there is one, never wins: −9.
    """

    architecture = "linear"
    modality = "image"

    def __init__(self, weight: NDArray[np.float64], classes: int = 2) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.from_numpy(weight).float())
        self.classes = classes

    def forward(self, inputs: Tensor) -> Tensor:
        """logits_BK."""
        score_B = (inputs.flatten(1) - 0.5) @ self.weight
        never = [score_B * 0 - 9] * (self.classes - 2)
        return torch.stack([torch.zeros_like(score_B), score_B, *never], dim=1)


def scores(pixels: NDArray[np.float32], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """w·(x − ½) of each image."""
    product: NDArray[np.float64] = (pixels.reshape(len(pixels), -1).astype(np.float64) - 0.5) @ weight
    return product


def linear_images(weight: NDArray[np.float64], n: int, classes: tuple[str, ...] = ("no", "yes")) -> Dataset:
    """Pixels well inside the box, so that only the ball binds; every tenth label is wrong."""
    side = math.isqrt(len(weight))
    pixels = np.random.default_rng(0).uniform(0.3, 0.7, size=(n, 1, side, side)).astype(np.float32)
    labels = (scores(pixels, weight) > 0).astype(np.int64)
    labels[::10] = 1 - labels[::10]
    split = Split(pl.Series([f"e{row:03d}" for row in range(n)]), pixels, labels)
    splits = {"train": split, "validation": split, "test": split}
    return Dataset("planted", "image", classes, ImageBox((1, side, side)), splits, digest="planted")
