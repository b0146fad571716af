"""Boxes through layers: from an interval of inputs to one that holds every output.

Gowal et al., arXiv:1810.12715, section 3. Bounds are computed in float64 and enclose not only the layer of
real numbers but its float32 evaluation, in any order of summation, fused or not, with batch norms folded into
the layer before or not: a sum of k products errs by at most γ·Σ|w·x|, γ = ku/(1 − ku), u = 2⁻²⁴ (Higham
2002, section 3.1, doi:10.1137/1.9780898718027), and each layer is widened by that much, with room for
eight more roundings, which also covers the float64 arithmetic of the bounds. Not covered: bfloat16, TF32 and
Winograd convolutions, which round more.

`MODULES`, `FUNCTIONS` and `METHODS` are all that has bounds, by the names `torch.fx` meets them under.
Shapes: as the layers have them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from raiaudit.errors import CapabilityError

__all__ = ["FUNCTIONS", "METHODS", "MODULES", "UNDERFLOW", "Interval", "gamma"]

_UNIT = 2.0**-24
_SPARE = 8  # roundings allowed for beyond those of the sum itself
UNDERFLOW = 1e-30
"""Far above what a flushed subnormal loses."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A box of float64 tensors, low ≤ high."""

    low: Tensor
    high: Tensor

    @classmethod
    def around(cls, centre: Tensor, radius: Tensor) -> Interval:
        """centre ± radius."""
        return cls(centre - radius, centre + radius)

    @property
    def centre(self) -> Tensor:
        """Its middle."""
        return (self.low + self.high) / 2

    @property
    def reach(self) -> Tensor:
        """The largest absolute value in it."""
        return torch.maximum(self.low.abs(), self.high.abs())

    def widened(self, slack: Tensor) -> Interval:
        """Room for rounding on both sides."""
        return Interval(self.low - slack, self.high + slack)


def gamma(terms: int) -> float:
    """The relative error of a float32 sum of so many products, with room to spare."""
    total = (terms + _SPARE) * _UNIT
    assert total < 0.5, "a sum too long for float32"
    return total / (1 - total)


def _affine(
    x: Interval, apply: Callable[[Tensor, bool], Tensor], terms: int, bias: Tensor | float
) -> Interval:
    """`apply(v, False)` is the linear part at v, `apply(v, True)` that of the absolute weights."""
    share = gamma(terms)
    radius = apply((x.high - x.low) / 2 + share * x.reach, True)
    rounding = share * (bias.abs() if isinstance(bias, Tensor) else abs(bias)) + UNDERFLOW
    return Interval.around(apply(x.centre, False) + bias, radius + rounding)


def _linear(layer: nn.Linear, x: Interval) -> Interval:
    weight, bias = layer.weight.double(), 0.0 if layer.bias is None else layer.bias.double()

    def apply(v: Tensor, absolute: bool) -> Tensor:
        return functional.linear(v, weight.abs() if absolute else weight)

    return _affine(x, apply, layer.in_features, bias)


def _conv(layer: nn.Conv2d, x: Interval) -> Interval:
    if layer.padding_mode != "zeros":
        raise CapabilityError(f"interval bounds do not know padding {layer.padding_mode!r}")
    weight = layer.weight.double()
    bias = 0.0 if layer.bias is None else layer.bias.double()[:, None, None]

    def apply(v: Tensor, absolute: bool) -> Tensor:
        return functional.conv2d(
            v,
            weight.abs() if absolute else weight,
            None,
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.groups,
        )

    return _affine(x, apply, weight[0].numel(), bias)


def _batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, x: Interval) -> Interval:
    if layer.running_mean is None or layer.running_var is None:
        raise CapabilityError("interval bounds need a batch norm with running statistics")
    mean, scale = layer.running_mean.double(), (layer.running_var.double() + layer.eps).rsqrt()
    shift = torch.zeros_like(mean)
    if layer.affine:
        scale, shift = scale * layer.weight.double(), layer.bias.double()
    shape = (1, -1, *(1,) * (x.low.dim() - 2))
    mean, scale, shift = (values.view(shape) for values in (mean, scale, shift))
    exact = Interval.around((x.centre - mean) * scale + shift, (x.high - x.low) / 2 * scale.abs())
    size = scale.abs() * (x.reach + mean.abs()) + shift.abs()
    return exact.widened(gamma(2) * size + UNDERFLOW)


def _monotone(layer: nn.Module, x: Interval) -> Interval:
    return Interval(layer(x.low), layer(x.high))


def _relu(x: Interval, inplace: bool = False) -> Interval:
    return Interval(x.low.clamp_min(0), x.high.clamp_min(0))


def _average(layer: nn.AvgPool2d | nn.AdaptiveAvgPool2d, x: Interval) -> Interval:
    height, width = x.low.shape[-2:]
    return _monotone(layer, x).widened(gamma(height * width) * layer(x.reach) + UNDERFLOW)


def _unchanged(layer: nn.Module, x: Interval) -> Interval:
    return x


MODULES: dict[type[nn.Module], Callable[[Any, Interval], Interval]] = {
    nn.AdaptiveAvgPool2d: _average,
    nn.AvgPool2d: _average,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Conv2d: _conv,
    nn.Dropout: _unchanged,
    nn.Dropout2d: _unchanged,
    nn.Flatten: _monotone,
    nn.Identity: _unchanged,
    nn.Linear: _linear,
    nn.MaxPool2d: _monotone,
    nn.ReLU: lambda layer, x: _relu(x),
}


def _sum(a: Any, b: Any, sign: int = 1) -> Interval:
    (a_low, a_high, a_size), (b_low, b_high, b_size) = _ends(a), _ends(b)
    if sign < 0:
        b_low, b_high = -b_high, -b_low
    return Interval(a_low + b_low, a_high + b_high).widened(gamma(1) * (a_size + b_size) + UNDERFLOW)


def _ends(value: Any) -> tuple[Any, Any, Any]:
    """Low, high and largest size of an interval or a constant."""
    return (value.low, value.high, value.reach) if isinstance(value, Interval) else (value, value, abs(value))


def _scaled(x: Interval, scale: Any) -> Interval:
    ends = (x.low * scale, x.high * scale)
    product = Interval(torch.minimum(*ends), torch.maximum(*ends))
    return product.widened(gamma(1) * product.reach + UNDERFLOW)


def _product(a: Any, b: Any) -> Interval:
    if isinstance(a, Interval) and isinstance(b, Interval):
        raise CapabilityError("interval bounds do not know a product of two activations")
    return _scaled(a, b) if isinstance(a, Interval) else _scaled(b, a)


def _quotient(a: Any, b: Any) -> Interval:
    if isinstance(b, Interval):
        raise CapabilityError("interval bounds do not know a division by an activation")
    return _scaled(a, 1 / b)


FUNCTIONS: dict[Any, Callable[..., Interval]] = {
    operator.add: _sum,
    operator.iadd: _sum,
    operator.mul: _product,
    operator.sub: lambda a, b: _sum(a, b, -1),
    operator.truediv: _quotient,
    functional.relu: _relu,
    torch.add: _sum,
    torch.relu: _relu,
    torch.flatten: lambda x, *args, **options: Interval(
        x.low.flatten(*args, **options), x.high.flatten(*args, **options)
    ),
}
METHODS = {"relu": functional.relu, "flatten": torch.flatten, "add": torch.add}
