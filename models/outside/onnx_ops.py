"""ONNX operators as functions of torch tensors: what a graph needs to have gradients.

Operator set: https://onnx.ai/onnx/operators, opsets 7 and later; where an opset moved an attribute to an
input, both are read. Whatever is missing here leaves a model its scores, through onnxruntime.

A function takes the node's attributes (with its opset under "opset") and its inputs, and raises
`NotImplementedError` for a setting it lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.models.outside.onnx_windows import WINDOWS, torch_pads

__all__ = ["OPERATORS"]

Attributes = Mapping[str, Any]
Operator = Callable[..., Any]

_DTYPES = {  # every kind of floating point is float32 here, as the weights are
    **dict.fromkeys((1, 10, 11, 16), torch.float32),
    2: torch.uint8,
    3: torch.int8,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
}
_LARGEST = 1 << 28  # elements of a tensor that a graph may make out of nothing


def _plain(function: Operator) -> Operator:
    return lambda _attributes, *inputs: function(*inputs)


def _folded(function: Operator) -> Operator:
    def fold(_attributes: Attributes, first: Tensor, *rest: Tensor) -> Tensor:
        for other in rest:
            first = function(first, other)
        return first

    return fold


def _axes(attributes: Attributes, given: Tensor | None) -> list[int] | None:
    found = given.tolist() if given is not None else attributes.get("axes")
    return None if found is None else [int(axis) for axis in found]


def _sized(shape: list[int]) -> list[int]:
    count = 1
    for size in shape:
        count *= size
    if count > _LARGEST:
        raise NotImplementedError(f"a tensor of {count:,} elements")
    return shape


# Arithmetic


def _divide(_attributes: Attributes, a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _clip(attributes: Attributes, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    low_or = attributes.get("min") if low is None else low.to(x.device)
    high_or = attributes.get("max") if high is None else high.to(x.device)
    return x if low_or is None and high_or is None else torch.clamp(x, low_or, high_or)


def _gemm(attributes: Attributes, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a = a.t() if attributes.get("transA", 0) else a
    b = b.t() if attributes.get("transB", 0) else b
    product: Tensor = a @ b * attributes.get("alpha", 1.0)
    return product if c is None else product + c * attributes.get("beta", 1.0)


def _softmax(function: Operator) -> Operator:
    def normalized(attributes: Attributes, x: Tensor) -> Tensor:
        if attributes["opset"] >= 13:
            result: Tensor = function(x, dim=attributes.get("axis", -1))
            return result
        flat = x.flatten(attributes.get("axis", 1) % x.dim())  # as one row, in older graphs
        return function(flat, dim=-1).reshape(x.shape)  # type: ignore[no-any-return]

    return normalized


def _reduced(function: Operator) -> Operator:
    def reduce(attributes: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
        found = _axes(attributes, axes)
        if not found:
            if attributes.get("noop_with_empty_axes", 0):
                return x
            found = list(range(x.dim()))
        result: Tensor = function(x, dim=found, keepdim=bool(attributes.get("keepdims", 1)))
        return result

    return reduce


def _norm(x: Tensor, dim: list[int], keepdim: bool) -> Tensor:
    return x.square().sum(dim, keepdim=keepdim).sqrt()


# Normalisation


def _batch_norm(a: Attributes, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    if a.get("training_mode", 0):
        raise NotImplementedError("training mode")
    statistics = mean.detach(), var.detach()  # torch has no gradient with respect to them
    return functional.batch_norm(x, *statistics, scale, bias, training=False, eps=a.get("epsilon", 1e-5))


def _instance_norm(attributes: Attributes, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return functional.group_norm(x, x.shape[1], scale, bias, eps=attributes.get("epsilon", 1e-5))


def _layer_norm(attributes: Attributes, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    axis = attributes.get("axis", -1) % x.dim()
    shape = list(x.shape[axis:])
    weight = scale.expand(shape)
    offset = None if bias is None else bias.expand(shape)
    return functional.layer_norm(x, shape, weight, offset, eps=attributes.get("epsilon", 1e-5))


def _group_norm(attributes: Attributes, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    groups, eps = attributes["num_groups"], attributes.get("epsilon", 1e-5)
    if attributes["opset"] >= 21:
        return functional.group_norm(x, groups, scale, bias, eps=eps)
    each = x.shape[1] // groups  # until opset 21 a scale and a bias belonged to a group
    return functional.group_norm(
        x, groups, scale.repeat_interleave(each), bias.repeat_interleave(each), eps=eps
    )


# Shapes


def _shape(attributes: Attributes, x: Tensor) -> Tensor:
    sizes = list(x.shape)[attributes.get("start", 0) : attributes.get("end")]
    return torch.tensor(sizes, dtype=torch.int64, device=x.device)


def _reshape(attributes: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    wanted = [int(size) for size in shape.tolist()]
    if not attributes.get("allowzero", 0):
        wanted = [x.shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    return x.reshape(wanted)


def _flatten(attributes: Attributes, x: Tensor) -> Tensor:
    axis = attributes.get("axis", 1)
    axis = axis + x.dim() if axis < 0 else axis
    rows = 1
    for size in x.shape[:axis]:
        rows *= size
    return x.reshape(rows, -1)


def _transpose(attributes: Attributes, x: Tensor) -> Tensor:
    return x.permute(attributes.get("perm", list(range(x.dim()))[::-1]))


def _squeeze(attributes: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    found = _axes(attributes, axes)
    return x.squeeze() if found is None else x.squeeze(tuple(found))


def _unsqueeze(attributes: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    found = _axes(attributes, axes) or []
    rank = x.dim() + len(found)
    for axis in sorted(axis % rank for axis in found):
        x = x.unsqueeze(axis)
    return x


def _split(attributes: Attributes, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = attributes.get("axis", 0)
    given = sizes.tolist() if sizes is not None else attributes.get("split")
    if given is None:
        count = attributes.get("num_outputs", attributes["outputs"])
        return torch.split(x, -(-x.shape[axis] // count), dim=axis)
    return torch.split(x, [int(size) for size in given], dim=axis)


def _slice(a: Attributes, x: Tensor, *given: Tensor | None) -> Tensor:
    lists = [None if part is None else part.tolist() for part in given]
    starts, ends, axes, steps = (lists + [None] * 4)[:4]
    starts = a["starts"] if starts is None else starts
    ends = a["ends"] if ends is None else ends
    axes = (a.get("axes") or list(range(len(starts)))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        picked = range(x.shape[axis])[slice(start, end if step > 0 or end >= -x.shape[axis] else None, step)]
        if step == 1:
            x = x.narrow(axis, picked.start if len(picked) else 0, len(picked))
        else:
            x = x.index_select(axis, torch.tensor(list(picked), dtype=torch.int64, device=x.device))
    return x


def _gather(attributes: Attributes, x: Tensor, index: Tensor) -> Tensor:
    axis = attributes.get("axis", 0) % x.dim()
    flat = torch.where(index < 0, index + x.shape[axis], index).reshape(-1).to(x.device, torch.int64)
    return x.index_select(axis, flat).reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]])


def _expand(_attributes: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    wanted = [int(size) for size in shape.tolist()]
    rank = max(len(wanted), x.dim())
    given, wanted = ([1] * (rank - len(sizes)) + list(sizes) for sizes in (x.shape, wanted))
    return x.expand(_sized([b if a == 1 else a for a, b in zip(given, wanted, strict=True)]))


def _tile(_attributes: Attributes, x: Tensor, repeats: Tensor) -> Tensor:
    counts = [int(count) for count in repeats.tolist()]
    _sized([size * count for size, count in zip(x.shape, counts, strict=True)])
    return x.repeat(counts)


def _pad(
    attributes: Attributes,
    x: Tensor,
    pads: Tensor | None = None,
    value: Tensor | None = None,
    axes: Tensor | None = None,
) -> Tensor:
    if axes is not None:
        raise NotImplementedError("axes")
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}[
        attributes.get("mode", "constant")
    ]
    amounts = torch_pads(attributes["pads"] if pads is None else [int(pad) for pad in pads.tolist()])
    if mode == "constant":
        fill = attributes.get("value", 0.0) if value is None else value.item()
        return functional.pad(x, amounts, value=fill)
    return functional.pad(x, amounts[: 2 * (x.dim() - 2)], mode=mode)


def _constant_of_shape(attributes: Attributes, shape: Tensor) -> Tensor:
    value: Tensor = attributes.get("value", torch.zeros(1))
    return value.reshape(-1)[0].to(shape.device).expand(_sized([int(size) for size in shape.tolist()]))


def _range(_attributes: Attributes, start: Tensor, limit: Tensor, step: Tensor) -> Tensor:
    begin, end, stride = start.item(), limit.item(), step.item()
    _sized([max(0, int((end - begin) / stride) + 1)])
    return torch.arange(begin, end, stride, dtype=start.dtype, device=start.device)


OPERATORS: dict[str, Operator] = {
    **WINDOWS,
    "Abs": _plain(torch.abs),
    "Add": _plain(torch.add),
    "And": _plain(torch.logical_and),
    "BatchNormalization": _batch_norm,
    "Cast": lambda a, x: x.to(_DTYPES[a["to"]]),
    "CastLike": lambda _a, x, like: x.to(like.dtype),
    "Ceil": _plain(torch.ceil),
    "Clip": _clip,
    "Concat": lambda a, *parts: torch.cat(parts, dim=a["axis"]),
    "ConstantOfShape": _constant_of_shape,
    "Cos": _plain(torch.cos),
    "Div": _divide,
    "Dropout": lambda _a, x, *_ratio: x,
    "Einsum": lambda a, *parts: torch.einsum(a["equation"], *parts),
    "Elu": lambda a, x: functional.elu(x, a.get("alpha", 1.0)),
    "Equal": _plain(torch.eq),
    "Erf": _plain(torch.erf),
    "Exp": _plain(torch.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": _plain(torch.floor),
    "Gather": _gather,
    "Gelu": lambda a, x: functional.gelu(x, approximate=a.get("approximate", "none")),
    "Gemm": _gemm,
    "Greater": _plain(torch.gt),
    "GreaterOrEqual": _plain(torch.ge),
    "GroupNormalization": _group_norm,
    "HardSigmoid": lambda a, x: (x * a.get("alpha", 0.2) + a.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": _plain(functional.hardswish),
    "Identity": lambda _a, x: x,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda a, x: functional.leaky_relu(x, a.get("alpha", 0.01)),
    "Less": _plain(torch.lt),
    "LessOrEqual": _plain(torch.le),
    "Log": _plain(torch.log),
    "LogSoftmax": _softmax(torch.log_softmax),
    "MatMul": _plain(torch.matmul),
    "Max": _folded(torch.maximum),
    "Mean": lambda a, *parts: _folded(torch.add)(a, *parts) / len(parts),
    "Min": _folded(torch.minimum),
    "Mish": _plain(functional.mish),
    "Mul": _plain(torch.mul),
    "Neg": _plain(torch.neg),
    "Not": _plain(torch.logical_not),
    "Or": _plain(torch.logical_or),
    "PRelu": lambda _a, x, slope: torch.where(x < 0, x * slope, x),
    "Pad": _pad,
    "Pow": _plain(torch.pow),
    "Range": _range,
    "Reciprocal": _plain(torch.reciprocal),
    "ReduceL2": _reduced(_norm),
    "ReduceMax": _reduced(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "ReduceMin": _reduced(torch.amin),
    "ReduceSum": _reduced(torch.sum),
    "ReduceSumSquare": _reduced(lambda x, dim, keepdim: x.square().sum(dim, keepdim=keepdim)),
    "Relu": _plain(torch.relu),
    "Reshape": _reshape,
    "Selu": lambda a, x: (
        a.get("gamma", 1.0507009873554805)
        * torch.where(x > 0, x, a.get("alpha", 1.6732632423543772) * (x.clamp(max=0).exp() - 1))
    ),
    "Shape": _shape,
    "Sigmoid": _plain(torch.sigmoid),
    "Sign": _plain(torch.sign),
    "Sin": _plain(torch.sin),
    "Slice": _slice,
    "Softmax": _softmax(torch.softmax),
    "Softplus": _plain(functional.softplus),
    "Softsign": _plain(functional.softsign),
    "Split": _split,
    "Sqrt": _plain(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _plain(torch.sub),
    "Sum": _folded(torch.add),
    "Tanh": _plain(torch.tanh),
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _plain(torch.where),
}
"""Operator → (attributes, inputs…) → one output, or a tuple of them."""
