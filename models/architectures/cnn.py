"""A small convolutional network for 8×8 to 64×64 images, fit for private training.

Three 3×3 convolutions in the manner of LeNet (LeCun et al. 1998, doi:10.1109/5.726791), each followed
by GroupNorm (arXiv:1803.08494), which normalises one example alone and therefore keeps per-example
gradients defined where BatchNorm would mix examples.

Shapes: x_BCHW in [0, 1] → logits_BK.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from raiaudit.models.architectures.convolutions import Layers, Norm
from raiaudit.models.architectures.images import ImageClassifier
from raiaudit.models.architectures.normalization import Normalization

__all__ = ["ConvNet"]

_POOLED = 4  # side of the last feature map
_GROUP = 4  # channels normalised together


class ConvNet(ImageClassifier):
    """conv w → conv 2w → half the size → conv 2w → mean to 4×4 → linear `hidden` → linear K.

    The size is halved by max-pooling or by the stride of the second convolution, which costs a quarter
    and is the harder one to attack. Images wider than 16 pixels are also max-pooled after the first.
    """

    architecture = "cnn"

    def __init__(
        self,
        shape: list[int],
        classes: int,
        *,
        width: int = 16,
        hidden: int = 128,
        norm: Norm = "group",
        weight_standardization: bool = False,
        downsample: Literal["max", "stride"] = "max",
        normalization: Normalization = "train",
    ) -> None:
        super().__init__(
            shape,
            classes,
            width=width,
            hidden=hidden,
            norm=norm,
            weight_standardization=weight_standardization,
            downsample=downsample,
            normalization=normalization,
        )
        channels, height, _ = shape
        layers = Layers(norm, weight_standardization, group_size=_GROUP)
        self.features = nn.Sequential(
            *layers.block(channels, width, 3),
            *([nn.MaxPool2d(2)] if height > 16 else []),
            *layers.block(width, 2 * width, 3, stride=2 if downsample == "stride" else 1),
            *([nn.MaxPool2d(2)] if downsample == "max" else []),
            *layers.block(2 * width, 2 * width, 3),
            nn.AdaptiveAvgPool2d(_POOLED),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(_POOLED * _POOLED * 2 * width, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BCHW → logits_BK."""
        logits: Tensor = self.head(self.features(self.standardize(inputs)))
        return logits
