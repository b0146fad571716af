"""A model in an ONNX graph: a classifier with gradients where the graph translates, else one with scores.

The answers of onnxruntime are what the model says. The translation into torch is kept only if it gives the
same answers to the first test examples; otherwise the model is asked through onnxruntime alone, and the
record says why. A final Softmax is left out, so that logits are logits; probabilities from anywhere else in
the graph become their logarithms.

Shapes: images x_BCHW within the data set's bounds, encoded rows x_BW → logits_BK. The graph may want
B×C×H×W, B×H×W×C or flat rows, and a fixed number of inputs at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from raiaudit.attacks.spaces import ImageBox
from raiaudit.errors import UsageError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import take
from raiaudit.models.outside.onnx_graph import Graph, read_graph
from raiaudit.models.outside.onnx_runtime import OnnxRuntime, first_line
from raiaudit.models.outside.onnx_torch import TorchGraph, UntranslatableError
from raiaudit.models.outside.records import version_of
from raiaudit.models.version import LoadRecord, ModelVersion

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset

__all__ = ["OnnxClassifier", "load_onnx"]

_PROBED = 8
_TOLERANCE = 1e-3  # of the largest answer: float16 graphs differ by as much between two runtimes
_SUM_TOLERANCE = 1e-3
_SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class _Asking:
    """How the graph wants its inputs: in which shape, how many at once (None: any), normalised by what."""

    layout: str
    batch: int | None
    mean: list[float]
    std: list[float]


class OnnxClassifier(Classifier):
    """`graph` maps inputs in the graph's own shape to its answers, which may be probabilities."""

    architecture = "onnx"

    def __init__(
        self,
        graph: nn.Module,
        dataset: Dataset,
        asking: _Asking,
        *,
        probabilities: bool,
        config: dict[str, Any],
    ) -> None:
        super().__init__()
        self.modality = dataset.modality
        self.classes = len(dataset.classes)
        self.config = config
        self.knowledge = "white" if isinstance(graph, TorchGraph) else "score"
        self.graph = graph
        self._asking, self._probabilities = asking, probabilities
        self.mean: Tensor
        self.std: Tensor
        shape = (-1, 1, 1) if self.modality == "image" else (-1,)
        self.register_buffer("mean", torch.tensor(asking.mean).reshape(shape))
        self.register_buffer("std", torch.tensor(asking.std).reshape(shape))

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs_B… → logits_BK; of a model that gives scores alone, their logarithms."""
        found_BK = self.answers(inputs)
        if self._probabilities:
            return found_BK.clamp_min(_SMALLEST).log()
        return found_BK if self.knowledge == "white" else found_BK.log_softmax(1)

    def answers(self, inputs: Tensor) -> Tensor:
        """What the graph itself says: logits_BK, or probabilities."""
        x = (inputs - self.mean) / self.std
        if self._asking.layout == "B×H×W×C":
            x = x.permute(0, 2, 3, 1)
        elif self._asking.layout == "flat":
            x = x.flatten(1)
        if self._asking.batch is None or not len(x):
            found: Tensor = self.graph(x)
            return found
        missing = -len(x) % self._asking.batch
        whole = torch.cat([x, x[-1:].expand(missing, *x.shape[1:])]) if missing else x
        return torch.cat([self.graph(part) for part in torch.split(whole, self._asking.batch)])[: len(x)]


def load_onnx(
    path: Path, options: Mapping[str, Any], dataset: Dataset, *, name: str, digest: str
) -> ModelVersion:
    """The model in an ONNX file. `options`: `mean` and `std`, a number or one a channel, to normalise by.

    Raises `ArtifactRefusedError` for a graph that is damaged or does not fit the data.
    """
    if unknown := sorted(options.keys() - {"mean", "std"}):
        raise UsageError(f"an ONNX graph has no option {unknown[0]!r}", remedy="choices: mean, std")
    graph = read_graph(path)
    output, cut = graph.answers(len(dataset.classes))
    asking = _Asking(
        _layout(graph, dataset),
        graph.dimensions[0],
        _numbers(options, "mean", 0.0, dataset),
        _numbers(options, "std", 1.0, dataset),
    )
    box = OnnxClassifier(OnnxRuntime(graph, output), dataset, asking, probabilities=False, config={})
    x = box.encode(take(dataset.splits["test"].inputs, slice(0, _PROBED)))
    said_BK = _said(box, x, graph)
    probabilities = not cut and _are_probabilities(said_BK)
    config: dict[str, Any] = {"input": asking.layout, "opset": graph.opset, **options}
    config["answers"] = "logarithms of probabilities" if probabilities else "logits"
    if cut:
        config["answers"] = "logits, taken before the final Softmax"
    try:
        module: nn.Module = TorchGraph(graph, output)
        _refuse_other_answers(
            OnnxClassifier(module, dataset, asking, probabilities=False, config={}), x, said_BK
        )
    except UntranslatableError as error:
        module, reason = box.graph, str(error)
        config["asked through"] = "onnxruntime"
        limits: tuple[str, ...] = (
            f"The model gives scores alone: {reason}. No attack saw its gradients, so robust accuracy is a "
            "looser upper bound.",
        )
    else:
        config["asked through"] = "its translation into torch"
        limits = ()
    classifier = OnnxClassifier(module, dataset, asking, probabilities=probabilities, config=config)
    return version_of(
        classifier,
        "onnx",
        name=name,
        digest=digest,
        loaded=LoadRecord(form="an ONNX graph", limits=limits),
        parameters=graph.parameters,
    )


def _layout(graph: Graph, dataset: Dataset) -> str:
    """How the graph wants its inputs. `ArtifactRefusedError` where the data has no such shape."""
    if isinstance(dataset.space, ImageBox):
        channels, height, width = dataset.space.shape
        offered: dict[str, tuple[int, ...]] = {
            "B×C×H×W": (channels, height, width),
            "B×H×W×C": (height, width, channels),
            "flat": (channels * height * width,),
        }
    elif dataset.modality == "tabular":
        first = np.asarray(take(dataset.splits["test"].inputs, slice(0, 1)))
        offered = {"B×W": (int(first.shape[1]),)}
    else:
        raise UsageError(
            f"an ONNX graph takes image or tabular data, {dataset.name} is {dataset.modality}",
            remedy="give a text model as a Hugging Face folder, or behind an `endpoint`",
        )
    dims = graph.dimensions
    for layout, shape in offered.items():
        if len(dims) == len(shape) + 1 and all(
            dim in (None, size) for dim, size in zip(dims[1:], shape, strict=True)
        ):
            return layout
    shown = "×".join("?" if dim is None else str(dim) for dim in dims) or "a single number"
    expected = " or ".join(f"B×{'×'.join(map(str, shape))}" for shape in offered.values())
    raise graph.refused(
        f"the input {graph.input.name!r} is {shown}, {dataset.name} offers {expected}",
        "audit it on data of the shape it was trained for",
    )


def _numbers(options: Mapping[str, Any], key: str, default: float, dataset: Dataset) -> list[float]:
    value = options.get(key, default)
    numbers = value if isinstance(value, list) else [value]
    if any(type(number) not in (int, float) for number in numbers):
        raise UsageError(f"{value!r} is not a number, nor a list of numbers", where=f"options.{key}")
    if key == "std" and not all(number > 0 for number in numbers):
        raise UsageError(f"{value!r} is not positive", where="options.std")
    space = dataset.space
    wanted = space.shape[0] if isinstance(space, ImageBox) else 1
    if len(numbers) not in (1, wanted):
        raise UsageError(f"{len(numbers)} numbers for {wanted} channels", where=f"options.{key}")
    return [float(number) for number in numbers]


def _said(box: OnnxClassifier, x: Tensor, graph: Graph) -> Tensor:
    """What onnxruntime says about the first examples, checked."""
    try:
        said_BK = box.answers(x)
    except Exception as error:  # the library has no root of errors
        raise graph.refused(f"onnxruntime cannot run it on such inputs: {first_line(error)}") from None
    if said_BK.dim() != 2 or len(said_BK) != len(x):
        raise graph.refused(f"it answers {list(said_BK.shape)} to {len(x)} inputs, expected one row an input")
    if said_BK.shape[1] != box.classes:
        raise graph.refused(
            f"the model answers with {said_BK.shape[1]} classes, the data set has {box.classes}",
            "audit it on the data set it was trained for, or list its `classes` in the spec",
        )
    if not bool(said_BK.isfinite().all()):
        raise graph.refused("it answers NaN or infinity to ordinary inputs", "train the model again")
    return said_BK


def _are_probabilities(said_BK: Tensor) -> bool:
    return bool((said_BK >= 0).all()) and bool(((said_BK.sum(1) - 1).abs() <= _SUM_TOLERANCE).all())


def _refuse_other_answers(translated: OnnxClassifier, x: Tensor, said_BK: Tensor) -> None:
    """Raise `UntranslatableError` unless the translation says the same, with a gradient."""
    x = x.clone().requires_grad_()
    try:
        ours_BK = translated.answers(x)
        (gradient,) = torch.autograd.grad(ours_BK.sum(), x, allow_unused=True)
    except Exception as error:  # a setting of an operator that has no counterpart
        raise UntranslatableError(f"its translation into torch failed ({first_line(error)})") from None
    if ours_BK.shape != said_BK.shape or gradient is None:
        raise UntranslatableError("no gradient reaches its inputs")
    off = float((ours_BK.detach() - said_BK).abs().max())
    if not off <= _TOLERANCE * max(1.0, float(said_BK.abs().max())):
        raise UntranslatableError(f"its translation into torch differs from onnxruntime by {off:.2g}")
