"""PreActResNet-18 (He et al., Identity mappings in deep residual networks, arXiv:1603.05027), CIFAR form.

11,172,170 parameters at 10 classes. Norm and activation come before each convolution. Published robust models
differ in two places: whether a norm and an activation come before the pooling (`final_norm`; without them
11,171,146 parameters), and whether the 1×1 convolution of a shortcut reads the activated input, as in the
paper, or the raw one. Modules are named as in the checkpoints of robustness benchmarks (arXiv:2010.09670).

Shapes: x_BCHW in [0, 1] → logits_BK.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from raiaudit.models.architectures.convolutions import Activation, Layers, Norm, he_initialized
from raiaudit.models.architectures.images import ImageClassifier
from raiaudit.models.architectures.normalization import Normalization

__all__ = ["PreActResNet18"]

Shortcut = Literal["activated", "raw"]


class PreActResNet18(ImageClassifier):
    """Four stages of two blocks, `width`·(1, 2, 4, 8) channels wide."""

    architecture = "preact_resnet18"

    def __init__(
        self,
        shape: list[int],
        classes: int,
        *,
        width: int = 64,
        norm: Norm = "batch",
        weight_standardization: bool = False,
        activation: Activation = "relu",
        final_norm: bool = True,
        shortcut: Shortcut = "activated",
        normalization: Normalization = "train",
    ) -> None:
        super().__init__(
            shape,
            classes,
            width=width,
            norm=norm,
            weight_standardization=weight_standardization,
            activation=activation,
            final_norm=final_norm,
            shortcut=shortcut,
            normalization=normalization,
        )
        layers = Layers(norm, weight_standardization, activation)

        def stage(number: int) -> nn.Sequential:
            channels = width * 2**number
            before, stride = (channels // 2, 2) if number else (width, 1)
            return nn.Sequential(
                _Block(before, channels, stride, shortcut, layers),
                _Block(channels, channels, 1, shortcut, layers),
            )

        self.conv1 = layers.conv(shape[0], width, 3)
        self.layer1, self.layer2, self.layer3, self.layer4 = (stage(number) for number in range(4))
        self.bn = layers.norm(8 * width) if final_norm else nn.Identity()
        self.activation = layers.activation() if final_norm else nn.Identity()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.linear = nn.Linear(8 * width, classes)
        he_initialized(self, head=self.linear)

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BCHW → logits_BK."""
        x = self.conv1(self.standardize(inputs))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.linear(self.pool(self.activation(self.bn(x))))
        return logits


class _Block(nn.Module):
    """norm → activation → 3×3 → norm → activation → 3×3, and a shortcut."""

    def __init__(
        self, channels_in: int, channels: int, stride: int, shortcut: Shortcut, layers: Layers
    ) -> None:
        super().__init__()
        self.from_raw = shortcut == "raw"
        self.bn1 = layers.norm(channels_in)
        self.activation1 = layers.activation()
        self.conv1 = layers.conv(channels_in, channels, 3, stride=stride)
        self.bn2 = layers.norm(channels)
        self.activation2 = layers.activation()
        self.conv2 = layers.conv(channels, channels, 3)
        self.end = layers.branch_end()
        changes = stride != 1 or channels_in != channels
        self.shortcut = (
            nn.Sequential(layers.conv(channels_in, channels, 1, stride=stride)) if changes else None
        )

    def forward(self, x: Tensor) -> Tensor:
        activated = self.activation1(self.bn1(x))
        branch: Tensor = self.end(self.conv2(self.activation2(self.bn2(self.conv1(activated)))))
        skipped: Tensor = x if self.shortcut is None else self.shortcut(x if self.from_raw else activated)
        return branch + skipped
