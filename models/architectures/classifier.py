"""The base of every architecture: an `nn.Module` from inputs to logits that carries its own preprocessing.

Shapes: inputs_B… as the modality has them (images B×C×H×W float in [0, 1], token ids B×L int64,
encoded table rows B×W float32); logits_BK.

A constructor's positional arguments come from the data set; its keyword-only arguments are the
family's options, and the only names `for_dataset` accepts.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from types import NoneType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np
import torch
from torch import Tensor, nn

from raiaudit.errors import UsageError
from raiaudit.models.names import ARCHITECTURE_NAMES

if TYPE_CHECKING:
    from raiaudit.attacks.spaces import InputSpace
    from raiaudit.attacks.threats import Knowledge
    from raiaudit.models.data.dataset import Dataset, Inputs, Modality

__all__ = ["Classifier", "NonNegative", "Positive", "check_options", "space_of"]

Positive = Annotated[float, "a number > 0"]
NonNegative = Annotated[float, "a number ≥ 0"]
"""Kinds of options beside `int` (≥ 1), `float` (in [0, 1)), `bool` and `Literal`."""

Space = TypeVar("Space", bound="InputSpace")


class Classifier(nn.Module):
    """Base class. A subclass sets `architecture` and `modality`, and `config` rebuilds it.

    `config` is plain JSON data: `build(model.architecture, model.config)` has the same parameters and buffers
    (normalisation statistics are buffers, so they travel with the weights). `knowledge` is what can be
    learnt of it: everything, unless it is a black box.
    """

    architecture: ClassVar[str]
    modality: Modality
    config: dict[str, Any]
    classes: int
    knowledge: Knowledge = "white"

    @classmethod
    def for_dataset(cls, dataset: Dataset, **options: Any) -> Classifier:
        """A fresh model whose shape and preprocessing are fitted on the training split alone."""
        raise NotImplementedError

    def encode(self, inputs: Inputs) -> Tensor:
        """Raw inputs of a split to the tensor `forward` takes (on the CPU).

        uint8 images become float32 in [0, 1]; texts are tokenised by the subclass that has a tokenizer.
        """
        array = np.asarray(inputs)
        if array.dtype == np.uint8:
            return torch.from_numpy(array).float().div_(255)
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs_B… → logits_BK."""
        raise NotImplementedError


def check_options(family: type[Classifier], options: Mapping[str, Any]) -> None:
    """Raise `UsageError` for an option the family lacks, or a value outside its type or choices."""
    hints = get_type_hints(family.__init__, include_extras=True)
    known = {
        name: hints[name]
        for name, parameter in inspect.signature(family).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for name, value in options.items():
        where = f"options.{name}"
        if name not in known:
            raise UsageError(
                f"architecture {family.architecture!r} has no option {name!r}",
                where=where,
                remedy=f"choices: {', '.join(sorted(known))}",
            )
        _check_value(known[name], value, where)


def _check_value(hint: Any, value: Any, where: str) -> None:
    kinds = get_args(hint)
    if NoneType in kinds:
        if value is None:
            return
        (hint,) = (kind for kind in kinds if kind is not NoneType)
    is_number = type(value) in (int, float)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            choices = ", ".join(map(str, get_args(hint)))
            raise UsageError(f"{value!r} is not a choice", where=where, remedy=f"choices: {choices}")
    elif hint is bool and type(value) is not bool:
        raise UsageError(f"{value!r} is neither true nor false", where=where)
    elif hint is int and not (type(value) is int and value >= 1):
        raise UsageError(f"{value!r} is not a whole number ≥ 1", where=where)
    elif hint is float and not (is_number and 0 <= value < 1):
        raise UsageError(f"{value!r} is not a number in [0, 1)", where=where)
    elif get_origin(hint) is Annotated and not (is_number and _lowest(hint) <= value < math.inf):
        raise UsageError(f"{value!r} is not {hint.__metadata__[0]}", where=where)


def _lowest(hint: Any) -> float:
    return 0.0 if hint == NonNegative else math.ulp(0.0)


def space_of(dataset: Dataset, kind: type[Space], family: type[Classifier]) -> Space:
    """The data set's input space, or `UsageError` when the family cannot read such inputs."""
    if not isinstance(dataset.space, kind):
        fitting = sorted(name for name, kinds in ARCHITECTURE_NAMES.items() if dataset.modality in kinds)
        raise UsageError(
            f"architecture {family.architecture!r} does not take {dataset.modality} data",
            where=dataset.name,
            remedy=f"choose one of {', '.join(fitting)}",
        )
    return dataset.space
