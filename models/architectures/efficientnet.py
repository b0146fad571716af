"""EfficientNet-B0 (Tan & Le, arXiv:1905.11946): inverted residuals with squeeze and excitation.

5,288,548 parameters at 1,000 classes. `small` has stride 1 in the stem and in the second stage, so that 32×32
pixels end as 4×4 and not as 1×1; the parameters are the same. With `norm: none` the branches that have a
shortcut end with a factor that begins at 0.

Shapes: x_BCHW in [0, 1] → logits_BK.
"""

from __future__ import annotations

from torch import Tensor, nn

from raiaudit.models.architectures.convolutions import (
    Layers,
    Norm,
    SqueezeExcite,
    StochasticDepth,
    he_initialized,
)
from raiaudit.models.architectures.images import ImageClassifier, Stem, stem_for
from raiaudit.models.architectures.normalization import Normalization

__all__ = ["EfficientNetB0"]

# kernel, stride, expansion, channels at width 32, blocks
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_WIDTH, _LAST = 32, 1280


class EfficientNetB0(ImageClassifier):
    """Sixteen inverted residuals; `width` is that of the stem, the others keep their proportion to it."""

    architecture = "efficientnet_b0"

    def __init__(
        self,
        shape: list[int],
        classes: int,
        *,
        width: int = _WIDTH,
        dropout: float = 0.2,
        drop_path: float = 0.2,
        norm: Norm = "batch",
        weight_standardization: bool = False,
        stem: Stem = "auto",
        normalization: Normalization = "train",
    ) -> None:
        chosen = stem_for(stem, shape)
        super().__init__(
            shape,
            classes,
            width=width,
            dropout=dropout,
            drop_path=drop_path,
            norm=norm,
            weight_standardization=weight_standardization,
            stem=chosen,
            normalization=normalization,
        )
        layers = Layers(norm, weight_standardization, "silu")
        small = chosen == "small"
        self.stem = nn.Sequential(*layers.block(shape[0], width, 3, stride=1 if small else 2))
        blocks: list[nn.Module] = []
        total = sum(count for *_, count in _STAGES)
        channels = width
        for number, (kernel, stage_stride, expansion, stage_channels, count) in enumerate(_STAGES):
            for position in range(count):
                stride = 1 if position or (small and number == 1) else stage_stride
                out = _scaled(stage_channels, width)
                rate = drop_path * len(blocks) / total  # deeper blocks are dropped more often
                blocks.append(_Block(channels, out, kernel, stride, expansion, rate, layers))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        last = _scaled(_LAST, width)
        head = nn.Linear(last, classes)
        self.head = nn.Sequential(
            *layers.block(channels, last, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            head,
        )
        he_initialized(self, head=head)

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BCHW → logits_BK."""
        logits: Tensor = self.head(self.blocks(self.stem(self.standardize(inputs))))
        return logits


class _Block(nn.Module):
    """1×1 to `expansion` times the channels → depthwise k×k → squeeze and excitation → 1×1."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int,
        expansion: int,
        rate: float,
        layers: Layers,
    ) -> None:
        super().__init__()
        inner = channels_in * expansion
        self.has_shortcut = stride == 1 and channels_in == channels_out
        self.body = nn.Sequential(
            *(layers.block(channels_in, inner, 1) if expansion > 1 else []),
            *layers.block(inner, inner, kernel, stride=stride, groups=inner),
            SqueezeExcite(inner, max(1, channels_in // 4), layers.activation()),
            layers.conv(inner, channels_out, 1),
            layers.last_norm(channels_out) if self.has_shortcut else layers.norm(channels_out),
            *([StochasticDepth(rate)] if self.has_shortcut else []),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return x + out if self.has_shortcut else out


def _scaled(channels: int, width: int) -> int:
    """Channels in proportion to the stem's width, a multiple of 8."""
    return max(8, round(channels * width / _WIDTH / 8) * 8)
