"""An ONNX file as a checked graph: no file outside its folder, one input, one answer.

Format: https://onnx.ai/onnx/intro. Weights may lie in further files ("external data") that the graph names:
only regular files inside the graph's own folder are read. Errors: `ArtifactRefusedError`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from raiaudit.errors import ArtifactRefusedError
from raiaudit.models.outside.extras import require

__all__ = ["Graph", "external_files", "read_graph"]

_SIZE_LIMIT = (2 << 30) - 1  # bytes: what protobuf can hold
_TENSOR_LIMIT = 1 << 28  # numbers in one tensor for one input: 1 GiB as float32
_EXTERNAL = 1  # TensorProto.DataLocation
_AGAIN = "export the model again"
_FLOATS = {1: "float32", 10: "float16", 11: "float64"}
_FOLLOWED = ("Identity", "Dropout")


@dataclass(frozen=True)
class Graph:
    """A graph with its weights in memory, and which of its tensors is asked about."""

    model: Any
    where: Path

    @cached_property
    def opset(self) -> int:
        """The version of the standard operators."""
        return next((int(o.version) for o in self.model.opset_import if o.domain in ("", "ai.onnx")), 1)

    @cached_property
    def input(self) -> Any:
        """The one input that is not a weight."""
        weights = {tensor.name for tensor in self.model.graph.initializer}
        inputs = [value for value in self.model.graph.input if value.name not in weights]
        if len(inputs) != 1:
            names = ", ".join(value.name for value in inputs) or "none"
            raise self.refused(f"the graph must have one input, it has {len(inputs)} ({names})")
        kind = inputs[0].type.tensor_type.elem_type
        if kind not in _FLOATS:
            raise self.refused(
                f"the input {inputs[0].name!r} is not of floating point",
                "graphs for images and encoded table rows can be audited; give a text model as a "
                "Hugging Face folder or behind an `endpoint`",
            )
        return inputs[0]

    @property
    def input_dtype(self) -> str:
        """Its number type, as numpy calls it."""
        return _FLOATS[self.input.type.tensor_type.elem_type]

    @property
    def dimensions(self) -> tuple[int | None, ...]:
        """Its shape; None where any size will do."""
        dims = self.input.type.tensor_type.shape.dim
        return tuple(int(dim.dim_value) if dim.dim_value > 0 else None for dim in dims)

    @property
    def parameters(self) -> int:
        """Numbers of floating point that the graph stores as weights."""
        return sum(
            math.prod(tensor.dims) for tensor in self.model.graph.initializer if tensor.data_type in _FLOATS
        )

    def answers(self, classes: int) -> tuple[str, bool]:
        """The tensor to read, and whether a final Softmax was left out to read it."""
        outputs = [value for value in self.model.graph.output if _is_scores(value, classes)]
        if len(outputs) != 1:
            names = ", ".join(value.name for value in self.model.graph.output)
            raise self.refused(
                f"the graph must have one output of {classes} numbers for each input, it has {len(outputs)} "
                f"such among {names}",
                "export the logits alone, for as many classes as the data set has",
            )
        name = outputs[0].name
        makers = {output: node for node in self.model.graph.node for output in node.output}
        node = makers.get(name)
        while node is not None and node.op_type in _FOLLOWED:
            node = makers.get(node.input[0])
        if node is not None and node.op_type == "Softmax" and _axis(node) in (-1, 1):
            return node.input[0], True
        return name, False

    def refused(self, problem: str, remedy: str = _AGAIN) -> ArtifactRefusedError:
        """The error to raise."""
        return ArtifactRefusedError(problem, where=str(self.where), remedy=remedy)


def _axis(node: Any) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == "axis"), -1)


def _is_scores(value: Any, classes: int) -> bool:
    """Whether an output may be B×K numbers, as far as the graph says."""
    if value.type.WhichOneof("value") != "tensor_type":
        return False
    kind = value.type.tensor_type
    if kind.elem_type not in _FLOATS:
        return False
    dims = kind.shape.dim
    if not kind.HasField("shape"):
        return True
    return len(dims) == 2 and dims[1].dim_value in (0, classes)


def read_graph(path: Path) -> Graph:
    """The graph of a file. `ArtifactRefusedError` for a damaged one, or one that names files elsewhere."""
    onnx = require("onnx", extra="onnx", what="reading an ONNX graph")
    model = _parsed(path)
    files = {tensor.name: _external(tensor, path) for tensor in _tensors(model.graph) if _is_external(tensor)}
    if sum({file: file.stat().st_size for file in files.values()}.values()) > _SIZE_LIMIT:
        raise ArtifactRefusedError("weights of more than 2 GiB", where=str(path), remedy=_AGAIN)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
        onnx.checker.check_model(model)
        shapes = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.value_info
    except Exception as error:  # the library has no root of errors
        text = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ArtifactRefusedError(
            f"not a valid ONNX graph: {text}", where=str(path), remedy=_AGAIN
        ) from None
    largest = max((math.prod(_sizes(value)) for value in shapes), default=0)
    if largest > _TENSOR_LIMIT:
        raise ArtifactRefusedError(
            f"the graph makes a tensor of {largest:,} numbers", where=str(path), remedy=_AGAIN
        )
    return Graph(model, path)


def _sizes(value: Any) -> list[int]:
    """The dimensions that are known before anything is computed."""
    dims = value.type.tensor_type.shape.dim
    return [int(dim.dim_value) for dim in dims if dim.dim_value > 0]


def external_files(path: Path) -> list[Path]:
    """The further files that hold weights, in the order of the graph; refused where they leave its folder."""
    require("onnx", extra="onnx", what="reading an ONNX graph")
    found = [_external(tensor, path) for tensor in _tensors(_parsed(path).graph) if _is_external(tensor)]
    return list(dict.fromkeys(found))


def _parsed(path: Path) -> Any:
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    if path.stat().st_size > _SIZE_LIMIT:
        raise ArtifactRefusedError("a graph of more than 2 GiB", where=str(path), remedy=_AGAIN)
    model = ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except (DecodeError, RecursionError):
        raise ArtifactRefusedError("not a readable ONNX graph", where=str(path), remedy=_AGAIN) from None
    if not model.graph.node:
        raise ArtifactRefusedError("the ONNX graph is empty", where=str(path), remedy=_AGAIN)
    return model


def _tensors(graph: Any) -> Iterator[Any]:
    """Every stored tensor of a graph and of the graphs inside it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _tensors(inner)


def _is_external(tensor: Any) -> bool:
    return int(tensor.data_location) == _EXTERNAL


def _external(tensor: Any, path: Path) -> Path:
    place = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    folder = path.resolve().parent
    named = Path(place)
    file = folder / named
    inside = place and "\0" not in place and not named.is_absolute() and ".." not in named.parts
    if not inside or file.resolve() != file or not file.is_file():
        raise ArtifactRefusedError(
            f"its weights are said to be in {place[:80]!r}, which is no file of its own folder",
            where=str(path),
            remedy="put the files that the export wrote beside the graph, not as links",
        )
    return file
