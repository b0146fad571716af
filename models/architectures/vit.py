"""Vision transformer (Dosovitskiy et al., arXiv:2010.11929; the sizes Ti and S are DeiT's, arXiv:2012.12877).

| | width | depth | heads | parameters at 224×224×3, 1,000 classes |
|---|---|---|---|---|
| vit_tiny | 64 | 4 | 4 | a small one of ours, for small images |
| vit_ti16 | 192 | 12 | 3 | 5,717,416 |
| vit_s16 | 384 | 12 | 6 | 22,050,664 |
| vit_b16 | 768 | 12 | 12 | 86,567,656 |

LayerNorm is of one example alone, so all of them train privately as they are. Patches of the last three have
16×16 pixels where at least 7 fit along a side, and on smaller images what vit_tiny takes: 2 at 8×8, 4 at
28×28 and 32×32.

Shapes: x_BCHW in [0, 1] → logits_BK; L = (H/patch)·(W/patch) patches of C·patch² values.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from raiaudit.errors import UsageError
from raiaudit.models.architectures.attention import ClassToken, Encoder, Positions, feed_forward
from raiaudit.models.architectures.images import ImageClassifier
from raiaudit.models.architectures.normalization import Normalization

__all__ = ["ViTB16", "ViTS16", "ViTTi16", "VisionTransformer"]

_FEWEST_PATCHES = 4  # along the shorter side, when the patch size is left to us
_FEWEST_LARGE = 7  # on images wider than 16 pixels


class VisionTransformer(ImageClassifier):
    """A class token read after `depth` blocks."""

    architecture = "vit_tiny"
    sizes: ClassVar[tuple[int, int, int]] = (64, 4, 4)  # width, depth, heads unless an option says otherwise
    published_patch: ClassVar[int | None] = None

    def __init__(
        self,
        shape: list[int],
        classes: int,
        *,
        patch: int | None = None,
        width: int | None = None,
        depth: int | None = None,
        heads: int | None = None,
        dropout: float = 0.0,
        normalization: Normalization = "train",
    ) -> None:
        channels, height, breadth = shape
        side = patch or self._patch(height, breadth)
        if height % side or breadth % side:
            raise UsageError(
                f"patches of {side}×{side} do not tile images of {height}×{breadth}",
                where="options.patch",
                remedy="choose a patch size that divides both sides",
            )
        width, depth, heads = (
            given or usual for given, usual in zip((width, depth, heads), self.sizes, strict=True)
        )
        super().__init__(
            shape,
            classes,
            patch=side,
            width=width,
            depth=depth,
            heads=heads,
            dropout=dropout,
            normalization=normalization,
        )
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

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BCHW → logits_BK."""
        logits: Tensor = self.head(self.encoder(self._tokens(inputs))[:, 0])
        return logits

    def attention_weights(self, inputs: Tensor) -> list[Tensor]:
        """Each block's attention map, weights_BHLL; token 0 is the class token, then patches by row."""
        return self.encoder.attention_weights(self._tokens(inputs))

    def patch_grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches that an image of this size is cut into."""
        side = self.config["patch"]
        return height // side, width // side

    def onto_pixels(self, patch_BRC: Tensor, height: int, width: int) -> Tensor:
        """Values of patches, shared out among their pixels, B×H×W."""
        tall, wide = height // patch_BRC.shape[1], width // patch_BRC.shape[2]
        return patch_BRC.repeat_interleave(tall, 1).repeat_interleave(wide, 2) / (tall * wide)

    def _tokens(self, x_BCHW: Tensor) -> Tensor:
        patches_BLP = self.unfold(self.standardize(x_BCHW)).transpose(1, 2)
        tokens_BLD: Tensor = self.positions(self.class_token(self.patches(patches_BLP)))
        return tokens_BLD

    def _patch(self, height: int, breadth: int) -> int:
        """The published patch where it tiles the image with at least 4 on a side (7 on images wider than 16
        pixels), else the largest that does.
        """
        side = min(height, breadth)
        fewest = _FEWEST_PATCHES if side <= 16 else _FEWEST_LARGE
        fitting = [p for p in range(1, side + 1) if height % p == breadth % p == 0 and side // p >= fewest]
        return self.published_patch if self.published_patch in fitting else max(fitting, default=1)


class ViTTi16(VisionTransformer):
    """Ti/16."""

    architecture = "vit_ti16"
    sizes = (192, 12, 3)
    published_patch = 16


class ViTS16(VisionTransformer):
    """S/16."""

    architecture = "vit_s16"
    sizes = (384, 12, 6)
    published_patch = 16


class ViTB16(VisionTransformer):
    """B/16."""

    architecture = "vit_b16"
    sizes = (768, 12, 12)
    published_patch = 16
