"""The layers that convolutional families share, with the norm to choose.

| `norm` | after a convolution | a residual branch ends with |
|---|---|---|
| batch | BatchNorm (arXiv:1502.03167), which mixes a batch: not for private training | BatchNorm |
| group | GroupNorm (arXiv:1803.08494), of one example alone | GroupNorm |
| none | nothing; the convolution has a bias | a factor that begins at 0 (SkipInit, arXiv:2002.10444) |

With the factor at 0 a residual network begins as its shortcuts alone, so that it trains at any depth without
a norm. `weight_standardization` (arXiv:1903.10520) gives each filter mean 0 and a fixed variance before it is
used; with group norm it is what private training needs to be accurate (arXiv:2204.13650).

Shapes: x images or features B×C×H×W; kernels O×I×h×w.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = [
    "Activation",
    "Layers",
    "Norm",
    "SkipInit",
    "SqueezeExcite",
    "StandardizedConv2d",
    "StochasticDepth",
    "he_initialized",
    "standardized",
]

Norm = Literal["batch", "group", "none"]
Activation = Literal["relu", "silu", "tanh"]

_GROUPS = 16
_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh}
_EPS = 1e-4  # on the variance of a filter times its fan-in, arXiv:2102.06171


class StandardizedConv2d(nn.Conv2d):
    """A convolution whose filters have mean 0 and the variance of He et al. (2 / fan-in, arXiv:1502.01852).

    With `gain` each filter has instead variance 1 / fan-in times a learned factor (arXiv:2102.06171).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        bias: bool = True,
        gain: bool = False,
    ) -> None:
        super().__init__(
            channels_in, channels_out, kernel, stride=stride, padding=padding, groups=groups, bias=bias
        )
        self.gain = nn.Parameter(torch.ones(channels_out, 1, 1, 1)) if gain else None

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name nn.Conv2d gives it
        """Features → features."""
        out: Tensor = self._conv_forward(input, standardized(self.weight, self.gain), self.bias)
        return out


def standardized(weight_OIhw: Tensor, gain_O: Tensor | None) -> Tensor:
    """The filters that `StandardizedConv2d` uses."""
    variance_O, mean_O = torch.var_mean(weight_OIhw, dim=(1, 2, 3), correction=0, keepdim=True)
    scale_O = (variance_O * weight_OIhw[0].numel()).clamp_min(_EPS).rsqrt()
    scale_O = scale_O * (math.sqrt(2) if gain_O is None else gain_O)
    return (weight_OIhw - mean_O) * scale_O


class SkipInit(nn.Module):
    """One learned factor that begins at 0 (De & Smith, arXiv:2002.10444)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """x → factor·x."""
        return x * self.weight


@dataclass(frozen=True, slots=True)
class Layers:
    """Makes the layers of one network. Groups are 16, or of `group_size` channels."""

    norm_kind: Norm
    weight_standardization: bool = False
    activation_kind: Activation = "relu"
    group_size: int | None = None

    def conv(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        padding: int | None = None,
    ) -> nn.Conv2d:
        """A convolution that, unless told how to pad, keeps the size at stride 1 and odd kernels.

        It has a bias where no norm would take it away.
        """
        bias = self.norm_kind == "none"
        kind = StandardizedConv2d if self.weight_standardization else nn.Conv2d
        return kind(
            channels_in,
            channels_out,
            kernel,
            stride=stride,
            padding=(kernel - 1) // 2 if padding is None else padding,
            groups=groups,
            bias=bias,
        )

    def norm(self, channels: int) -> nn.Module:
        """What follows a convolution."""
        if self.norm_kind == "batch":
            return nn.BatchNorm2d(channels)
        if self.norm_kind == "group":
            groups = max(1, channels // self.group_size) if self.group_size else _GROUPS
            return nn.GroupNorm(math.gcd(groups, channels), channels)
        return nn.Identity()

    def last_norm(self, channels: int) -> nn.Module:
        """What follows the last convolution of a residual branch."""
        return self.norm(channels) if self.norm_kind != "none" else SkipInit()

    def branch_end(self) -> nn.Module:
        """The end of a residual branch whose norms come before its convolutions."""
        return SkipInit() if self.norm_kind == "none" else nn.Identity()

    def activation(self) -> nn.Module:
        """The activation of the network."""
        return _ACTIVATIONS[self.activation_kind]()

    def block(
        self, channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> list[nn.Module]:
        """Convolution, norm if there is one, activation."""
        return [
            self.conv(channels_in, channels_out, kernel, stride=stride, groups=groups),
            *([] if self.norm_kind == "none" else [self.norm(channels_out)]),
            self.activation(),
        ]


class SqueezeExcite(nn.Module):
    """Channels weighed by what the whole image holds (Hu et al., arXiv:1709.01507)."""

    def __init__(self, channels: int, squeezed: int, activation: nn.Module) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, squeezed)
        self.activation = activation
        self.excite = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        """x → x times a weight in (0, 1) for each channel."""
        weight_BC = torch.sigmoid(self.excite(self.activation(self.squeeze(x.mean((2, 3))))))
        return x * weight_BC[..., None, None]


class StochasticDepth(nn.Module):
    """Drops the branch of each example with probability `rate` in training (arXiv:1603.09382)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """x, or for a dropped example 0; the mean stays."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(x.shape[0], 1, 1, 1, device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


def he_initialized(model: nn.Module, *, head: nn.Linear) -> None:
    """Weights of all layers but the head of variance 2 / fan-in (He et al., arXiv:1502.01852), biases 0.

    Keeps the size of activations through rectified layers, so that networks train without a norm.
    """
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module is not head:
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
