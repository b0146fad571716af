"""Wide residual networks (Zagoruyko & Komodakis, arXiv:1605.07146), CIFAR form.

WRN-28-10 has 36,479,194 parameters at 10 classes. `depth` is 4 + 6n for n blocks a stage. Modules are named
as in the checkpoints of robustness benchmarks (arXiv:2010.09670).

Shapes: x_BCHW in [0, 1] → logits_BK.
"""

from __future__ import annotations

from torch import Tensor, nn

from raiaudit.errors import UsageError
from raiaudit.models.architectures.convolutions import Activation, Layers, Norm, he_initialized
from raiaudit.models.architectures.images import ImageClassifier
from raiaudit.models.architectures.normalization import Normalization

__all__ = ["WideResNet"]

_STEM = 16  # channels before the first block


class WideResNet(ImageClassifier):
    """Three stages, `widen`·(16, 32, 64) channels wide."""

    architecture = "wide_resnet28_10"

    def __init__(
        self,
        shape: list[int],
        classes: int,
        *,
        depth: int = 28,
        widen: int = 10,
        norm: Norm = "batch",
        weight_standardization: bool = False,
        activation: Activation = "relu",
        normalization: Normalization = "train",
    ) -> None:
        if depth < 10 or depth % 6 != 4:
            raise UsageError(
                f"a wide residual network has 4 + 6n layers, not {depth}",
                where="options.depth",
                remedy="choose 10, 16, 22, 28, 34, 40, …",
            )
        super().__init__(
            shape,
            classes,
            depth=depth,
            widen=widen,
            norm=norm,
            weight_standardization=weight_standardization,
            activation=activation,
            normalization=normalization,
        )
        layers = Layers(norm, weight_standardization, activation)
        blocks = (depth - 4) // 6
        w1, w2, w3 = (_STEM * widen * 2**stage for stage in range(3))
        self.conv1 = layers.conv(shape[0], _STEM, 3)
        self.block1 = _Stage(blocks, _STEM, w1, 1, layers)
        self.block2 = _Stage(blocks, w1, w2, 2, layers)
        self.block3 = _Stage(blocks, w2, w3, 2, layers)
        self.bn1 = layers.norm(w3)
        self.activation = layers.activation()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(w3, classes)
        he_initialized(self, head=self.fc)

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BCHW → logits_BK."""
        x = self.block3(self.block2(self.block1(self.conv1(self.standardize(inputs)))))
        logits: Tensor = self.fc(self.pool(self.activation(self.bn1(x))))
        return logits


class _Stage(nn.Module):
    def __init__(self, blocks: int, channels_in: int, channels: int, stride: int, layers: Layers) -> None:
        super().__init__()
        rest = (_Block(channels, channels, 1, layers) for _ in range(blocks - 1))
        self.layer = nn.Sequential(_Block(channels_in, channels, stride, layers), *rest)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out


class _Block(nn.Module):
    """norm → activation → 3×3 → norm → activation → 3×3; where the width changes, the shortcut is a 1×1
    convolution of the activated input.
    """

    def __init__(self, channels_in: int, channels: int, stride: int, layers: Layers) -> None:
        super().__init__()
        self.bn1 = layers.norm(channels_in)
        self.activation1 = layers.activation()
        self.conv1 = layers.conv(channels_in, channels, 3, stride=stride)
        self.bn2 = layers.norm(channels)
        self.activation2 = layers.activation()
        self.conv2 = layers.conv(channels, channels, 3)
        self.end = layers.branch_end()
        changes = channels_in != channels
        self.convShortcut = layers.conv(channels_in, channels, 1, stride=stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        activated = self.activation1(self.bn1(x))
        branch: Tensor = self.end(self.conv2(self.activation2(self.bn2(self.conv1(activated)))))
        skipped: Tensor = x if self.convShortcut is None else self.convShortcut(activated)
        return branch + skipped
