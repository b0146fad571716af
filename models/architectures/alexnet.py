"""AlexNet (Krizhevsky et al. 2012) in its one-tower form (Krizhevsky, arXiv:1404.5997).

61,100,840 parameters at 1,000 classes with the `imagenet` stem: an 11×11 convolution of stride 4,
max-poolings of 3×3 and stride 2, means to 6×6. The `small` form begins with a 5×5 convolution of stride 1,
pools by 2×2 and takes means to 2×2; its two hidden layers have 16·width units where the published one has
64·width. As published it has no norm; a norm, where chosen, follows each convolution.

Shapes: x_BCHW in [0, 1] → logits_BK.
"""

from __future__ import annotations

from torch import Tensor, nn

from raiaudit.models.architectures.convolutions import Layers, Norm, he_initialized
from raiaudit.models.architectures.images import ImageClassifier, Stem, stem_for
from raiaudit.models.architectures.normalization import Normalization

__all__ = ["AlexNet"]


class AlexNet(ImageClassifier):
    """Five convolutions of `width`·(1, 3, 6, 4, 4) channels and three linear layers."""

    architecture = "alexnet"

    def __init__(
        self,
        shape: list[int],
        classes: int,
        *,
        width: int = 64,
        hidden: int | None = None,
        dropout: float = 0.5,
        norm: Norm = "none",
        weight_standardization: bool = False,
        stem: Stem = "auto",
        normalization: Normalization = "train",
    ) -> None:
        chosen = stem_for(stem, shape)
        small = chosen == "small"
        units = hidden or (16 if small else 64) * width
        super().__init__(
            shape,
            classes,
            width=width,
            hidden=units,
            dropout=dropout,
            norm=norm,
            weight_standardization=weight_standardization,
            stem=chosen,
            normalization=normalization,
        )
        layers = Layers(norm, weight_standardization)
        kernel, pooled = (2, 2) if small else (3, 6)
        self.features = nn.Sequential(
            layers.conv(shape[0], width, 5)
            if small
            else layers.conv(shape[0], width, 11, stride=4, padding=2),
            layers.norm(width),
            layers.activation(),
            nn.MaxPool2d(kernel, 2),
            *layers.block(width, 3 * width, 5),
            nn.MaxPool2d(kernel, 2),
            *layers.block(3 * width, 6 * width, 3),
            *layers.block(6 * width, 4 * width, 3),
            *layers.block(4 * width, 4 * width, 3),
            nn.MaxPool2d(kernel, 2),
            nn.AdaptiveAvgPool2d(pooled),
            nn.Flatten(),
        )
        head = nn.Linear(units, classes)
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(pooled * pooled * 4 * width, units),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(units, units),
            nn.ReLU(),
            head,
        )
        he_initialized(self, head=head)

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BCHW → logits_BK."""
        logits: Tensor = self.head(self.features(self.standardize(inputs)))
        return logits
