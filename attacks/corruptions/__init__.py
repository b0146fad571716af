"""Nature as the adversary: image corruptions at five severities (Hendrycks & Dietterich, arXiv:1903.12261).

A corruption takes float images B×C×H×W in [0, 1], of any size and number of channels, and gives the
same in [0, 1], computed in batch on their device. `severity` is 1–5. Whatever is random is keyed by
(seed, corruption, example id), so neither batch nor shard changes an image; `ids` default to 0…B−1.

    gaussian_noise   sensor noise in low light   noise.py
    gaussian_blur    a lens out of focus         blur.py

The paper has two scales, ImageNet-C for large images and CIFAR-10-C for small ones; an image whose
shorter side is below 64 pixels is corrupted at the small scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from raiaudit.attacks.corruptions.blur import gaussian_blur
from raiaudit.attacks.corruptions.noise import gaussian_noise

__all__ = ["CORRUPTIONS", "Corruption"]


class Corruption(Protocol):
    """One corruption; raises `UsageError` for a severity that is not 1–5."""

    def __call__(
        self, x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
    ) -> Tensor:
        """The corrupted images."""
        ...


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian_noise": gaussian_noise,
    "gaussian_blur": gaussian_blur,
}
