"""ResNet-18 and ResNet-50 (He et al., arXiv:1512.03385).

| | 10 classes, small stem | 1,000 classes, imagenet stem |
|---|---|---|
| resnet18 | 11,173,962 | 11,689,512 |
| resnet50 | 23,520,842 | 25,557,032 |

Stems: `small` is a 3×3 convolution, `imagenet` a 7×7 convolution of stride 2 and a max-pooling. resnet18
takes the small one for images of any size unless told otherwise. The stride of a bottleneck is in its 3×3
convolution.

Shapes: x_BCHW in [0, 1] → logits_BK.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from raiaudit.models.architectures.convolutions import Layers, Norm
from raiaudit.models.architectures.images import ImageClassifier, Stem, stem_for
from raiaudit.models.architectures.normalization import Normalization

__all__ = ["ResNet18", "ResNet50"]


class _Block(nn.Module):
    """Convolutions and a shortcut, which is a 1×1 convolution where the shape changes."""

    expansion: ClassVar[int]

    def __init__(self, channels_in: int, channels: int, stride: int, layers: Layers) -> None:
        super().__init__()
        channels_out = channels * self.expansion
        self.body = self._body(channels_in, channels, stride, layers)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                layers.conv(channels_in, channels_out, 1, stride=stride), layers.norm(channels_out)
            )

    def _body(self, channels_in: int, channels: int, stride: int, layers: Layers) -> nn.Sequential:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


class _Basic(_Block):
    expansion = 1

    def _body(self, channels_in: int, channels: int, stride: int, layers: Layers) -> nn.Sequential:
        return nn.Sequential(
            *layers.block(channels_in, channels, 3, stride=stride),
            layers.conv(channels, channels, 3),
            layers.last_norm(channels),
        )


class _Bottleneck(_Block):
    expansion = 4

    def _body(self, channels_in: int, channels: int, stride: int, layers: Layers) -> nn.Sequential:
        return nn.Sequential(
            *layers.block(channels_in, channels, 1),
            *layers.block(channels, channels, 3, stride=stride),
            layers.conv(channels, self.expansion * channels, 1),
            layers.last_norm(self.expansion * channels),
        )


class _ResNet(ImageClassifier):
    """Four stages, `width`·(1, 2, 4, 8) channels wide (times the expansion of the block)."""

    block: ClassVar[type[_Block]]
    blocks_a_stage: ClassVar[tuple[int, ...]]
    usual_stem: ClassVar[Stem]

    def __init__(
        self,
        shape: list[int],
        classes: int,
        *,
        width: int = 64,
        norm: Norm = "batch",
        weight_standardization: bool = False,
        stem: Stem | None = None,
        normalization: Normalization = "train",
    ) -> None:
        chosen = stem_for(stem or self.usual_stem, shape)
        super().__init__(
            shape,
            classes,
            width=width,
            norm=norm,
            weight_standardization=weight_standardization,
            stem=chosen,
            normalization=normalization,
        )
        layers = Layers(norm, weight_standardization)
        self.stem = (
            nn.Sequential(*layers.block(shape[0], width, 3))
            if chosen == "small"
            else nn.Sequential(*layers.block(shape[0], width, 7, stride=2), nn.MaxPool2d(3, 2, padding=1))
        )
        blocks: list[nn.Module] = []
        channels = width
        for stage, count in enumerate(self.blocks_a_stage):
            for number in range(count):
                stride = 2 if stage and not number else 1
                blocks.append(self.block(channels, width * 2**stage, stride, layers))
                channels = width * 2**stage * self.block.expansion
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BCHW → logits_BK."""
        logits: Tensor = self.head(self.blocks(self.stem(self.standardize(inputs))))
        return logits


class ResNet18(_ResNet):
    """Two basic blocks a stage."""

    architecture = "resnet18"
    block = _Basic
    blocks_a_stage = (2, 2, 2, 2)
    usual_stem = "small"


class ResNet50(_ResNet):
    """Three, four, six and three bottlenecks."""

    architecture = "resnet50"
    block = _Bottleneck
    blocks_a_stage = (3, 4, 6, 3)
    usual_stem = "auto"
