"""A small convolutional network for 8×8 to 64×64 images, fit for private training.

Three 3×3 convolutions in the manner of LeNet (LeCun et al. 1998, doi:10.1109/5.726791), each followed
by GroupNorm (arXiv:1803.08494), which normalises one example alone and therefore keeps per-example
gradients defined where BatchNorm would mix examples.

Shapes: x_BCHW in [0, 1] → logits_BK.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from raiaudit.attacks.spaces import ImageBox
from raiaudit.models.architectures.classifier import Classifier, check_options, space_of
from raiaudit.models.architectures.normalization import Normalization, Standardization

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset

__all__ = ["ConvNet"]

_POOLED = 4  # side of the last feature map


class ConvNet(Classifier):
    """conv w → conv 2w → half the size → conv 2w → mean to 4×4 → linear `hidden` → linear K.

    The size is halved by max-pooling or by the stride of the second convolution, which costs a quarter
    and is the harder one to attack. Images wider than 16 pixels are also max-pooled after the first.
    """

    architecture = "cnn"
    modality = "image"

    def __init__(
        self,
        shape: list[int],
        classes: int,
        *,
        width: int = 16,
        hidden: int = 128,
        norm: Literal["group", "none"] = "group",
        downsample: Literal["max", "stride"] = "max",
        normalization: Normalization = "train",
    ) -> None:
        super().__init__()
        self.config = {
            "shape": list(shape),
            "classes": classes,
            "width": width,
            "hidden": hidden,
            "norm": norm,
            "downsample": downsample,
            "normalization": normalization,
        }
        self.classes = classes
        channels, height, _ = shape
        self.standardize = Standardization((channels, 1, 1))
        self.features = nn.Sequential(
            *_convolution(channels, width, norm),
            *([nn.MaxPool2d(2)] if height > 16 else []),
            *_convolution(width, 2 * width, norm, stride=2 if downsample == "stride" else 1),
            *([nn.MaxPool2d(2)] if downsample == "max" else []),
            *_convolution(2 * width, 2 * width, norm),
            nn.AdaptiveAvgPool2d(_POOLED),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(_POOLED * _POOLED * 2 * width, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )

    @classmethod
    def for_dataset(cls, dataset: Dataset, **options: Any) -> ConvNet:
        """A fresh network for the data set's image shape."""
        check_options(cls, options)
        space = space_of(dataset, ImageBox, cls)
        model = cls(list(space.shape), len(dataset.classes), **options)
        model.standardize.fit_images(dataset.splits["train"].inputs, model.config["normalization"])
        return model

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BCHW → logits_BK."""
        logits: Tensor = self.head(self.features(self.standardize(inputs)))
        return logits


def _convolution(channels_in: int, channels_out: int, norm: str, *, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=norm == "none")
    if norm == "none":
        return [convolution, nn.ReLU()]
    groups = max(1, channels_out // 4)
    return [convolution, nn.GroupNorm(math.gcd(groups, channels_out), channels_out), nn.ReLU()]
