"""ResNet-18 (He et al., arXiv:1512.03385) with the small-image stem: 3×3, stride 1, no pooling.

At width 64 and 10 classes it has 11,173,962 parameters. `norm: group` (arXiv:1803.08494) makes it fit
for private training, where BatchNorm would mix examples.

Shapes: x_BCHW in [0, 1] → logits_BK.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn
from torch.nn import functional

from raiaudit.attacks.spaces import ImageBox
from raiaudit.models.architectures.classifier import Classifier, check_options, space_of
from raiaudit.models.architectures.normalization import Normalization, Standardization

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset

__all__ = ["ResNet18"]

_GROUPS = 16


class ResNet18(Classifier):
    """Four stages of two basic blocks, `width`·(1, 2, 4, 8) channels wide."""

    architecture = "resnet18"
    modality = "image"

    def __init__(
        self,
        shape: list[int],
        classes: int,
        *,
        width: int = 64,
        norm: Literal["batch", "group"] = "batch",
        normalization: Normalization = "train",
    ) -> None:
        super().__init__()
        self.config = {
            "shape": list(shape),
            "classes": classes,
            "width": width,
            "norm": norm,
            "normalization": normalization,
        }
        self.classes = classes
        self.standardize = Standardization((shape[0], 1, 1))
        self.stem = nn.Sequential(_conv3(shape[0], width), _norm(norm, width), nn.ReLU())
        blocks: list[nn.Module] = []
        channels = width
        for stage in range(4):
            out = width * 2**stage
            blocks += [_Block(channels, out, 1 if stage == 0 else 2, norm), _Block(out, out, 1, norm)]
            channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))

    @classmethod
    def for_dataset(cls, dataset: Dataset, **options: Any) -> ResNet18:
        """A fresh network for the data set's image shape."""
        check_options(cls, options)
        space = space_of(dataset, ImageBox, cls)
        model = cls(list(space.shape), len(dataset.classes), **options)
        model.standardize.fit_images(dataset.splits["train"].inputs, model.config["normalization"])
        return model

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BCHW → logits_BK."""
        logits: Tensor = self.head(self.blocks(self.stem(self.standardize(inputs))))
        return logits


class _Block(nn.Module):
    """Two 3×3 convolutions and a shortcut, which is a 1×1 convolution where the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, norm: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv3(channels_in, channels_out, stride),
            _norm(norm, channels_out),
            nn.ReLU(),
            _conv3(channels_out, channels_out),
            _norm(norm, channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False), _norm(norm, channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


def _conv3(channels_in: int, channels_out: int, stride: int = 1) -> nn.Module:
    return nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)


def _norm(norm: str, channels: int) -> nn.Module:
    return (
        nn.BatchNorm2d(channels) if norm == "batch" else nn.GroupNorm(math.gcd(_GROUPS, channels), channels)
    )
