"""The small network of provable and fast adversarial training (Wong & Kolter, arXiv:1711.00851; Wong et al.,
arXiv:2001.03994): 166,406 parameters at 28×28×1 and 10 classes.

Two 4×4 convolutions of stride 2 instead of pooling: a forward costs little, and what is trained robust stays
easy to bound. As published it has no norm; a norm, where chosen, follows each convolution.

Shapes: x_BCHW in [0, 1] → logits_BK.
"""

from __future__ import annotations

from torch import Tensor, nn

from raiaudit.models.architectures.convolutions import Layers, Norm
from raiaudit.models.architectures.images import ImageClassifier
from raiaudit.models.architectures.normalization import Normalization

__all__ = ["StridedCNN"]


class StridedCNN(ImageClassifier):
    """conv 4×4 /2 `width` → conv 4×4 /2 2·`width` → linear `hidden` → linear K."""

    architecture = "strided_cnn"

    def __init__(
        self,
        shape: list[int],
        classes: int,
        *,
        width: int = 16,
        hidden: int = 100,
        norm: Norm = "none",
        weight_standardization: bool = False,
        normalization: Normalization = "train",
    ) -> None:
        super().__init__(
            shape,
            classes,
            width=width,
            hidden=hidden,
            norm=norm,
            weight_standardization=weight_standardization,
            normalization=normalization,
        )
        channels, height, breadth = shape
        layers = Layers(norm, weight_standardization)
        self.features = nn.Sequential(
            *layers.block(channels, width, 4, stride=2),
            *layers.block(width, 2 * width, 4, stride=2),
            nn.Flatten(),
        )
        self.head = nn.Sequential(
            nn.Linear((height // 4) * (breadth // 4) * 2 * width, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BCHW → logits_BK."""
        logits: Tensor = self.head(self.features(self.standardize(inputs)))
        return logits
