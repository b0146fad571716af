"""An ONNX graph as a torch module, so that its answers have gradients.

Legend: the graph's own shapes; parameters are its stored tensors of floating point, all as float32.
Raises `UntranslatableError`, which names the operators that are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from raiaudit.models.outside.onnx_ops import OPERATORS

if TYPE_CHECKING:
    from raiaudit.models.outside.onnx_graph import Graph

__all__ = ["TorchGraph", "UntranslatableError"]

_STANDARD = ("", "ai.onnx")


class UntranslatableError(Exception):
    """Why a graph has no gradients here, in words."""


@dataclass(frozen=True, slots=True)
class _Step:
    operator: str
    attributes: dict[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    finished: tuple[str, ...]  # tensors that no later step reads


class TorchGraph(nn.Module):
    """Evaluates the part of a graph that the tensor `output` depends on."""

    def __init__(self, graph: Graph, output: str) -> None:
        super().__init__()
        self._input, self._output = graph.input.name, output
        nodes = _needed(graph, output)
        known = {node.op_type for node in nodes if node.domain in _STANDARD} & {*OPERATORS, "Constant"}
        if missing := sorted({_title(node) for node in nodes if _title(node) not in known}):
            raise UntranslatableError(f"no gradient is known here for the operator {', '.join(missing)}")
        self._slots: dict[str, str] = {}
        used = {name for node in nodes for name in node.input}
        for tensor in graph.model.graph.initializer:
            if tensor.name in used:
                self._keep(tensor.name, _array(tensor), weight=True)
        for node in nodes:
            if node.op_type == "Constant":
                self._keep(node.output[0], _constant(node), weight=False)
        steps = [node for node in nodes if node.op_type != "Constant"]
        last = {name: i for i, node in enumerate(steps) for name in node.input}
        self._steps = [
            _Step(
                node.op_type,
                {**_attributes(node), "opset": graph.opset, "outputs": len(node.output)},
                tuple(node.input),
                tuple(node.output),
                tuple({name for name in node.input if last[name] == i and name != output}),
            )
            for i, node in enumerate(steps)
        ]

    def _keep(self, name: str, value: Tensor, *, weight: bool) -> None:
        slot = f"t{len(self._slots)}"
        self._slots[name] = slot
        if weight and value.is_floating_point():
            self.register_parameter(slot, nn.Parameter(value))
        else:
            self.register_buffer(slot, value)

    def forward(self, x: Tensor) -> Tensor:
        """The input in the graph's own shape → the tensor asked about."""
        values: dict[str, Tensor] = {name: getattr(self, slot) for name, slot in self._slots.items()}
        values[self._input] = x
        for step in self._steps:
            given = [values[name] if name else None for name in step.inputs]
            made = OPERATORS[step.operator](step.attributes, *given)
            for name, value in zip(step.outputs, made if isinstance(made, tuple) else (made,), strict=False):
                values[name] = value
            for name in step.finished:
                values.pop(name, None)
        return values[self._output]


def _title(node: Any) -> str:
    return str(node.op_type if node.domain in _STANDARD else f"{node.domain}.{node.op_type}")


def _needed(graph: Graph, output: str) -> list[Any]:
    """The nodes that `output` depends on, in the file's order, which is a topological one."""
    wanted, kept = {output}, []
    for node in reversed(graph.model.graph.node):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
    return kept[::-1]


def _array(tensor: Any) -> Tensor:
    from onnx import numpy_helper

    array = np.array(numpy_helper.to_array(tensor))
    if array.dtype.kind in "biu":
        return torch.from_numpy(array)
    return torch.from_numpy(array.astype(np.float32))


def _constant(node: Any) -> Tensor:
    attributes = _attributes(node)
    for key, dtype in (
        ("value_float", torch.float32),
        ("value_floats", torch.float32),
        ("value_int", torch.int64),
        ("value_ints", torch.int64),
    ):
        if key in attributes:
            return torch.tensor(attributes[key], dtype=dtype)
    if "value" not in attributes:
        raise UntranslatableError("it holds a Constant of texts or sparse numbers")
    value: Tensor = attributes["value"]
    return value


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import TensorProto, helper

    found: dict[str, Any] = {}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        elif isinstance(value, TensorProto):
            value = _array(value)
        found[attribute.name] = value
    return found
