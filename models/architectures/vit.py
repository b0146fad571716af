"""Vision transformer (Dosovitskiy et al., arXiv:2010.11929), small; with width 192, depth 12, heads 3 and
16×16 patches of 224×224 images it is DeiT-Ti (arXiv:2012.12877), 5,717,416 parameters at 1,000 classes.

Shapes: x_BCHW in [0, 1] → logits_BK; L = (H/patch)·(W/patch) patches of C·patch² values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from raiaudit.attacks.spaces import ImageBox
from raiaudit.errors import UsageError
from raiaudit.models.architectures.attention import ClassToken, Encoder, Positions, feed_forward
from raiaudit.models.architectures.classifier import Classifier, check_options, space_of
from raiaudit.models.architectures.normalization import Normalization, Standardization

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset

__all__ = ["VisionTransformer"]

_FEWEST_PATCHES = 4  # along the shorter side, when the patch size is left to us


class VisionTransformer(Classifier):
    """A class token read after `depth` blocks. `patch` defaults to 2 at 8×8, 4 at 28×28 and 32×32."""

    architecture = "vit_tiny"
    modality = "image"

    def __init__(
        self,
        shape: list[int],
        classes: int,
        *,
        patch: int | None = None,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
        normalization: Normalization = "train",
    ) -> None:
        super().__init__()
        channels, height, breadth = shape
        side = patch or _patch(height, breadth)
        if height % side or breadth % side:
            raise UsageError(
                f"patches of {side}×{side} do not tile images of {height}×{breadth}",
                where="options.patch",
                remedy="choose a patch size that divides both sides",
            )
        self.config = {
            "shape": list(shape),
            "classes": classes,
            "patch": side,
            "width": width,
            "depth": depth,
            "heads": heads,
            "dropout": dropout,
            "normalization": normalization,
        }
        self.classes = classes
        self.standardize = Standardization((channels, 1, 1))
        self.unfold = nn.Unfold(side, stride=side)
        self.patches = nn.Linear(channels * side * side, width)
        self.class_token = ClassToken(width)
        self.positions = Positions(1 + (height // side) * (breadth // side), width)
        self.encoder = Encoder(
            width=width,
            depth=depth,
            heads=heads,
            feedforward=lambda: feed_forward(width, 4 * width, dropout),
            dropout=dropout,
        )
        self.head = nn.Linear(width, classes)

    @classmethod
    def for_dataset(cls, dataset: Dataset, **options: Any) -> VisionTransformer:
        """A fresh network for the data set's image shape."""
        check_options(cls, options)
        space = space_of(dataset, ImageBox, cls)
        model = cls(list(space.shape), len(dataset.classes), **options)
        model.standardize.fit_images(dataset.splits["train"].inputs, model.config["normalization"])
        return model

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BCHW → logits_BK."""
        logits: Tensor = self.head(self.encoder(self._tokens(inputs))[:, 0])
        return logits

    def attention_weights(self, inputs: Tensor) -> list[Tensor]:
        """Each block's attention map, weights_BHLL; token 0 is the class token, then patches by row."""
        return self.encoder.attention_weights(self._tokens(inputs))

    def _tokens(self, x_BCHW: Tensor) -> Tensor:
        patches_BLP = self.unfold(self.standardize(x_BCHW)).transpose(1, 2)
        tokens_BLD: Tensor = self.positions(self.class_token(self.patches(patches_BLP)))
        return tokens_BLD


def _patch(height: int, breadth: int) -> int:
    """The largest patch that tiles the image with at least 4 on a side (7 on images wider than 16 pixels)."""
    side = min(height, breadth)
    fewest = _FEWEST_PATCHES if side <= 16 else 7
    fitting = [p for p in range(1, side + 1) if height % p == breadth % p == 0 and side // p >= fewest]
    return max(fitting, default=1)
