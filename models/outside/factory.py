"""A model that a Python file builds: `my_model.py:build`. Importing it runs it, which only a flag allows.

`build(dataset)` or `build()` returns a classifier of ours, or any `nn.Module` from encoded inputs to
logits_BK: images B×C×H×W within the data set's bounds, encoded table rows B×W, or for texts whatever its
method `encode(texts)` returns. Nothing it says of itself is believed: one batch is tried.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from raiaudit.errors import ArtifactRefusedError, UsageError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import take

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset, Inputs

__all__ = ["BuiltModel", "build"]

_TRIED = 4


class BuiltModel(Classifier):
    """A module of somebody else's as a classifier. `knowledge` is "score" where no gradient flows."""

    architecture = "factory"

    def __init__(self, module: nn.Module, dataset: Dataset, *, built_by: str) -> None:
        super().__init__()
        self.module = module
        self.modality = dataset.modality
        self.classes = len(dataset.classes)
        self.config = {"built by": built_by, "module": type(module).__name__}

    def encode(self, inputs: Inputs) -> Tensor:
        """As every classifier; texts by the module's own `encode`."""
        if self.modality != "text":
            return super().encode(inputs)
        encoded: Tensor = self.module.encode(list(inputs))  # type: ignore[operator]  # checked when it was built
        return encoded

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs_B… → logits_BK."""
        logits_BK: Tensor = self.module(inputs)
        return logits_BK if self.knowledge == "white" else logits_BK.detach()


def build(file: Path, function: str, dataset: Dataset) -> Classifier:
    """Run the file, call its function, try the result on a batch.

    Raises `UsageError` for what the file raises, `ArtifactRefusedError` for a result that is no such model.
    """
    where = f"{file}:{function}"
    builder = getattr(_imported(file), function, None)
    if not callable(builder):
        raise UsageError(f"the file defines no function {function!r}", where=str(file))
    try:
        made = builder(dataset) if _takes_an_argument(builder) else builder()
    except (Exception, SystemExit) as error:  # whoever leaves with 0 would be taken for a pass
        raise _failed(error, where) from error
    if not isinstance(made, nn.Module):
        raise ArtifactRefusedError(
            f"it returned {type(made).__name__}, not an nn.Module",
            where=where,
            remedy="return a module from encoded inputs to logits, B×K",
        )
    if dataset.modality == "text" and not callable(getattr(made, "encode", None)):
        raise ArtifactRefusedError(
            "a text model must say how it reads texts",
            where=where,
            remedy="give the module a method encode(texts: list[str]) -> Tensor",
        )
    model = (
        made
        if isinstance(made, Classifier)
        else BuiltModel(made, dataset, built_by=f"{file.name}:{function}")
    )
    _try(model.eval(), dataset, where)
    return model


def _imported(file: Path) -> Any:
    if not file.is_file():
        raise UsageError("no such file", where=str(file), remedy="check `factory` in the spec")
    spec = importlib.util.spec_from_file_location(f"raiaudit_outside_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UsageError("not a Python file", where=str(file), remedy="name a .py file and its function")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickles look their module up
    sys.path.insert(0, str(file.resolve().parent))  # it may import what lies beside it
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _failed(error, str(file)) from error
    finally:
        sys.path.remove(str(file.resolve().parent))
    return module


def _takes_an_argument(builder: Any) -> bool:
    try:
        return bool(inspect.signature(builder).parameters)
    except (TypeError, ValueError):  # a builtin has no signature
        return False


def _try(model: Classifier, dataset: Dataset, where: str) -> None:
    """One batch forward, and backward where gradients flow."""
    try:
        x = model.encode(take(dataset.splits["test"].inputs, slice(0, _TRIED)))
        if x.is_floating_point():
            x = x.clone().requires_grad_()
        logits_BK = model(x)
    except (Exception, SystemExit) as error:
        raise _failed(error, where) from error
    wanted = (len(x), len(dataset.classes))
    if not isinstance(logits_BK, Tensor) or tuple(logits_BK.shape) != wanted:
        shown = list(logits_BK.shape) if isinstance(logits_BK, Tensor) else type(logits_BK).__name__
        raise ArtifactRefusedError(
            f"it answers {shown} to a batch of {len(x)}, expected {list(wanted)}",
            where=where,
            remedy="return logits, one row an input and one column a class of the data set",
        )
    if not bool(logits_BK.isfinite().all()):
        raise ArtifactRefusedError("it answers NaN or infinity to ordinary inputs", where=where)
    flows = logits_BK.requires_grad
    if flows and x.is_floating_point():
        (gradient,) = torch.autograd.grad(logits_BK.sum(), x, allow_unused=True)
        flows = gradient is not None
    if not flows:
        model.knowledge = "score"


def _failed(error: BaseException, where: str) -> UsageError:
    return UsageError(
        f"the file raised {type(error).__name__}: {error}",
        where=where,
        remedy="run it by hand, outside the audit",
    )
