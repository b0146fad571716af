"""VGG-16 (Simonyan & Zisserman, arXiv:1409.1556), configuration D.

138,357,544 parameters at 1,000 classes in the `imagenet` form: means to 7×7, hidden layers of 64·width units.
The `small` form takes means to 1×1 and has hidden layers of 8·width units; its poolings keep the odd row and
column, so that images of 8 pixels and more pass. As published it has no norm; a norm, where chosen, follows
each convolution.

Shapes: x_BCHW in [0, 1] → logits_BK.
"""

from __future__ import annotations

from torch import Tensor, nn

from raiaudit.models.architectures.convolutions import Layers, Norm, he_initialized
from raiaudit.models.architectures.images import ImageClassifier, Stem, stem_for
from raiaudit.models.architectures.normalization import Normalization

__all__ = ["VGG16"]

_STAGES = ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8))  # convolutions, channels in units of width


class VGG16(ImageClassifier):
    """Thirteen 3×3 convolutions in five stages, each followed by max-pooling, and three linear layers."""

    architecture = "vgg16"

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
        units = hidden or (8 if small else 64) * width
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
        pooled = 1 if small else 7
        features: list[nn.Module] = []
        channels = shape[0]
        for convolutions, factor in _STAGES:
            for _ in range(convolutions):
                features += layers.block(channels, factor * width, 3)
                channels = factor * width
            features.append(nn.MaxPool2d(2, ceil_mode=small))
        self.features = nn.Sequential(*features, nn.AdaptiveAvgPool2d(pooled), nn.Flatten())
        head = nn.Linear(units, classes)
        self.head = nn.Sequential(
            nn.Linear(pooled * pooled * channels, units),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(units, units),
            nn.ReLU(),
            nn.Dropout(dropout),
            head,
        )
        he_initialized(self, head=head)

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BCHW → logits_BK."""
        logits: Tensor = self.head(self.features(self.standardize(inputs)))
        return logits
