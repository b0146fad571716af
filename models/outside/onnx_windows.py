"""ONNX operators that slide a window, as functions of torch tensors: convolutions and pools.

Operator set: https://onnx.ai/onnx/operators. ONNX pads each side of each axis on its own; torch pads both
sides alike, so what differs is padded beforehand.

Shapes: x_BCx, B×C and one to three further axes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["WINDOWS", "torch_pads"]

Attributes = Mapping[str, Any]

_CONV: dict[int, Callable[..., Tensor]] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_CONV_TRANSPOSE: dict[int, Callable[..., Tensor]] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}
_MAX: dict[int, Callable[..., Tensor]] = {
    1: functional.max_pool1d,
    2: functional.max_pool2d,
    3: functional.max_pool3d,
}
_AVERAGE: dict[int, Callable[..., Tensor]] = {
    1: functional.avg_pool1d,
    2: functional.avg_pool2d,
    3: functional.avg_pool3d,
}


def torch_pads(pads: Sequence[int]) -> list[int]:
    """ONNX pads (all beginnings, then all ends) as `functional.pad` takes them: the last axis first."""
    half = len(pads) // 2
    return [pads[i + side * half] for i in reversed(range(half)) for side in (0, 1)]


def _pads(attributes: Attributes, x: Tensor, kernel: Sequence[int]) -> list[int]:
    axes = x.dim() - 2
    mode = attributes.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return list(attributes.get("pads", [0] * (2 * axes)))
    if mode == "VALID":
        return [0] * (2 * axes)
    strides = attributes.get("strides", [1] * axes)
    dilations = attributes.get("dilations", [1] * axes)
    begins, ends = [], []
    for size, width, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        outputs = -(-size // stride)
        total = max((outputs - 1) * stride + (width - 1) * dilation + 1 - size, 0)
        less, more = total // 2, total - total // 2
        begins.append(less if mode == "SAME_UPPER" else more)
        ends.append(more if mode == "SAME_UPPER" else less)
    return begins + ends


def _alike(pads: Sequence[int]) -> bool:
    half = len(pads) // 2
    return list(pads[:half]) == list(pads[half:])


def _conv(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    axes = x.dim() - 2
    pads = _pads(attributes, x, weight.shape[2:])
    if not _alike(pads):
        x, pads = functional.pad(x, torch_pads(pads)), [0] * (2 * axes)
    return _CONV[axes](
        x,
        weight,
        bias,
        stride=attributes.get("strides", [1] * axes),
        padding=pads[:axes],
        dilation=attributes.get("dilations", [1] * axes),
        groups=attributes.get("group", 1),
    )


def _conv_transpose(attributes: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    axes = x.dim() - 2
    pads = list(attributes.get("pads", [0] * (2 * axes)))
    if not _alike(pads) or "output_shape" in attributes or attributes.get("auto_pad", "NOTSET") != "NOTSET":
        raise NotImplementedError("uneven padding")
    return _CONV_TRANSPOSE[axes](
        x,
        weight,
        bias,
        stride=attributes.get("strides", [1] * axes),
        padding=pads[:axes],
        output_padding=attributes.get("output_padding", [0] * axes),
        groups=attributes.get("group", 1),
        dilation=attributes.get("dilations", [1] * axes),
    )


def _max_pool(attributes: Attributes, x: Tensor) -> Tensor:
    kernel, axes = attributes["kernel_shape"], x.dim() - 2
    pads = _pads(attributes, x, kernel)
    if not _alike(pads) or any(2 * pad > width for pad, width in zip(pads, kernel, strict=False)):
        x, pads = functional.pad(x, torch_pads(pads), value=-torch.inf), [0] * (2 * axes)
    return _MAX[axes](
        x,
        kernel,
        stride=attributes.get("strides", [1] * axes),
        padding=pads[:axes],
        dilation=attributes.get("dilations", [1] * axes),
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
    )


def _average_pool(attributes: Attributes, x: Tensor) -> Tensor:
    kernel, axes = attributes["kernel_shape"], x.dim() - 2
    if any(dilation != 1 for dilation in attributes.get("dilations", [])):
        raise NotImplementedError("dilations")
    pads = _pads(attributes, x, kernel)
    counted = bool(attributes.get("count_include_pad", 0))
    settings = {
        "stride": attributes.get("strides", [1] * axes),
        "ceil_mode": bool(attributes.get("ceil_mode", 0)),
    }
    if _alike(pads):
        return _AVERAGE[axes](x, kernel, padding=pads[:axes], count_include_pad=counted, **settings)
    padded = _AVERAGE[axes](functional.pad(x, torch_pads(pads)), kernel, **settings)
    if counted:
        return padded
    share = _AVERAGE[axes](functional.pad(torch.ones_like(x), torch_pads(pads)), kernel, **settings)
    return padded / share


def _global(reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda _attributes, x: reduce(x, dim=tuple(range(2, x.dim())), keepdim=True)


def _local_response(attributes: Attributes, x: Tensor) -> Tensor:
    size = attributes["size"]
    squares = functional.pad(x.square().unsqueeze(1), [0, 0] * (x.dim() - 2) + [(size - 1) // 2, size // 2])
    sums = torch.stack([squares[:, 0, i : i + x.shape[1]] for i in range(size)]).sum(0)
    scale: Tensor = attributes.get("bias", 1.0) + attributes.get("alpha", 1e-4) / size * sums
    return x / scale.pow(attributes.get("beta", 0.75))


WINDOWS: dict[str, Callable[..., Tensor]] = {
    "AveragePool": _average_pool,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "GlobalAveragePool": _global(torch.mean),
    "GlobalMaxPool": _global(torch.amax),
    "LRN": _local_response,
    "MaxPool": _max_pool,
}
"""Operator → (attributes, inputs…) → output."""
