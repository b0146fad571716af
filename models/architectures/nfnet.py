"""NFNet-F0 (Brock et al., arXiv:2102.06171): a residual network without a norm.

71,489,284 parameters at 1,000 classes. Scaled weight standardisation and the factors α and β (1 over the
expected deviation of a block's input) keep activations at unit variance; each branch ends with a learned
factor that begins at 0. Since nothing mixes a batch it trains privately as it is, and there is no `norm` to
choose. The `imagenet` stem is four 3×3 convolutions with strides 2, 1, 1, 2; `small` has stride 1 throughout.
Paths and the features of the head are dropped in training as published.

Shapes: x_BCHW in [0, 1] → logits_BK.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from raiaudit.models.architectures.convolutions import SqueezeExcite, StandardizedConv2d, StochasticDepth
from raiaudit.models.architectures.images import ImageClassifier, Stem, stem_for
from raiaudit.models.architectures.normalization import Normalization

__all__ = ["NFNetF0"]

_STAGES = ((1, 1, 1), (2, 2, 2), (6, 6, 2), (3, 6, 2))  # blocks, channels in units of width, stride
_ALPHA = 0.2
_GELU_GAIN = 1.7015043497085571  # 1 / the deviation of GELU of a standard normal


class NFNetF0(ImageClassifier):
    """Twelve bottlenecks; `width` is that of the first stage, an even number."""

    architecture = "nfnet_f0"

    def __init__(
        self,
        shape: list[int],
        classes: int,
        *,
        width: int = 256,
        dropout: float = 0.2,
        drop_path: float = 0.25,
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
            stem=chosen,
            normalization=normalization,
        )
        strides = (1, 1, 1, 1) if chosen == "small" else (2, 1, 1, 2)
        widths = [shape[0], *(max(1, width // part) for part in (16, 8, 4, 2))]
        pairs = zip(widths, widths[1:], strides, strict=False)
        first, *rest = [_conv(before, after, 3, stride) for before, after, stride in pairs]
        self.stem = nn.Sequential(first, *(part for conv in rest for part in (_ScaledGELU(), conv)))
        blocks: list[nn.Module] = []
        total = sum(count for count, _, _ in _STAGES)
        channels, variance = widths[-1], 1.0
        for count, factor, stride in _STAGES:
            for position in range(count):
                rate = drop_path * len(blocks) / total
                step = 1 if position else stride
                blocks.append(
                    _Block(channels, factor * width, step, 1 / math.sqrt(variance), rate, width // 2)
                )
                channels = factor * width
                # A block that changes the width begins the count of variances anew.
                variance = (variance if position else 1.0) + _ALPHA**2
        self.blocks = nn.Sequential(*blocks)
        last = 2 * channels
        self.head = nn.Sequential(
            _conv(channels, last, 1),
            _ScaledGELU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(last, classes),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """x_BCHW → logits_BK."""
        logits: Tensor = self.head(self.blocks(self.stem(self.standardize(inputs))))
        return logits


class _ScaledGELU(nn.Module):
    """GELU of unit variance for a standard normal input."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.gelu(x) * _GELU_GAIN


class _Block(nn.Module):
    """activation·β → 1×1 → 3×3 in groups → 3×3 in groups → 1×1 → squeeze and excitation, times α."""

    def __init__(
        self, channels_in: int, channels_out: int, stride: int, beta: float, rate: float, group: int
    ) -> None:
        super().__init__()
        inner = channels_out // 2
        groups = inner // group
        self.beta = beta
        self.activation = _ScaledGELU()
        self.shortcut: nn.Module | None = None
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False) if stride == 2 else nn.Identity(),
                _conv(channels_in, channels_out, 1),
            )
        self.body = nn.Sequential(
            _conv(channels_in, inner, 1),
            _ScaledGELU(),
            _conv(inner, inner, 3, stride, groups),
            _ScaledGELU(),
            _conv(inner, inner, 3, 1, groups),
            _ScaledGELU(),
            _conv(inner, channels_out, 1),
            SqueezeExcite(channels_out, channels_out // 2, nn.ReLU()),
        )
        self.drop = StochasticDepth(rate)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        activated = self.activation(x) * self.beta
        skipped: Tensor = x if self.shortcut is None else self.shortcut(activated)
        branch: Tensor = self.drop(2 * self.body(activated))  # twice, since the excitation halves on average
        return skipped + _ALPHA * self.gain * branch


def _conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    return StandardizedConv2d(
        channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, groups=groups, gain=True
    )
