"""Nature as the adversary: image corruptions at five severities (Hendrycks & Dietterich, arXiv:1903.12261).

A corruption takes float images B×C×H×W in [0, 1] of any size, and gives the same in [0, 1], computed in
batch on their device. `severity` is 1–5. Whatever is random is keyed by (seed, corruption, example id), so
neither batch nor shard changes an image; `ids` default to 0…B−1. Any number of channels will do, except for
`saturate`, which needs 1 (and leaves them as they are) or 3.

    noise     gaussian_noise, shot_noise, impulse_noise; extra: speckle_noise          noise.py
    blur      defocus_blur, zoom_blur; extra: gaussian_blur                            blur.py
              glass_blur · motion_blur                                                 glass.py · motion.py
    weather   snow, frost, fog                                                         weather.py
              brightness; extra: saturate                                              colour.py
              extra: spatter                                                           spatter.py
    digital   contrast · elastic_transform, pixelate                                   colour.py · geometry.py
              jpeg_compression                                                         jpeg.py

The paper has two scales, ImageNet-C for large images and CIFAR-10-C for small ones; an image whose shorter
side is below 64 pixels is corrupted at the small scale. Lengths are in pixels as in the paper, so an image
far smaller than 32×32 is hit harder than one of CIFAR-10.

Against the authors' files: values are not rounded to 8 bits; frost is drawn, not photographed
(`weather.py`); the edge of a drop is its border (`spatter.py`); zooms keep the middle (`blur.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from raiaudit.attacks.corruptions.blur import defocus_blur, gaussian_blur, zoom_blur
from raiaudit.attacks.corruptions.colour import brightness, contrast, saturate
from raiaudit.attacks.corruptions.geometry import elastic_transform, pixelate
from raiaudit.attacks.corruptions.glass import glass_blur
from raiaudit.attacks.corruptions.jpeg import jpeg_compression
from raiaudit.attacks.corruptions.motion import motion_blur
from raiaudit.attacks.corruptions.noise import gaussian_noise, impulse_noise, shot_noise, speckle_noise
from raiaudit.attacks.corruptions.spatter import spatter
from raiaudit.attacks.corruptions.weather import fog, frost, snow

__all__ = ["CORRUPTIONS", "Corruption"]


class Corruption(Protocol):
    """One corruption; raises `UsageError` for a severity that is not 1–5."""

    def __call__(
        self, x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
    ) -> Tensor:
        """The corrupted images."""
        ...


CORRUPTIONS: dict[str, Corruption] = {
    # noise
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    # blur
    "defocus_blur": defocus_blur,
    "glass_blur": glass_blur,
    "motion_blur": motion_blur,
    "zoom_blur": zoom_blur,
    # weather
    "snow": snow,
    "frost": frost,
    "fog": fog,
    "brightness": brightness,
    # digital
    "contrast": contrast,
    "elastic_transform": elastic_transform,
    "pixelate": pixelate,
    "jpeg_compression": jpeg_compression,
    # extra: the authors' four for tuning a defence without seeing the fifteen
    "speckle_noise": speckle_noise,
    "gaussian_blur": gaussian_blur,
    "spatter": spatter,
    "saturate": saturate,
}
