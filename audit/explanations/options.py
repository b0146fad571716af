"""Options that the checks of maps share: which methods, from which baseline, at which layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from raiaudit.audit.check import CheckConfig
from raiaudit.audit.explanations.layers import named_layer
from raiaudit.audit.explanations.methods import METHODS
from raiaudit.audit.explanations.methods.views import Baseline
from raiaudit.errors import UnknownNameError

if TYPE_CHECKING:
    from raiaudit.audit.subject import Subject

__all__ = ["MapsConfig", "MethodNames"]


def _known(name: str) -> str:
    if name not in METHODS:
        error = UnknownNameError("attribution method", name, METHODS)
        raise ValueError(f"{error.problem}: {error.remedy}")
    return name


def _each_once(methods: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(methods)) < len(methods):
        raise ValueError("a method stands twice")
    return methods


MethodName = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(METHODS)})]
MethodNames = Annotated[tuple[MethodName, ...], Field(min_length=1), AfterValidator(_each_once)]
"""Names of the catalogue of methods."""


class MapsConfig(CheckConfig):
    """Base of their options; each says what is usual for its `methods` and `examples`."""

    methods: MethodNames
    examples: int
    baseline: Baseline = Field(
        default="mean", description="mean training input, or zeros; texts always use the zero embedding"
    )
    layer: str | None = Field(
        default=None, description="the module that grad_cam and layer_cam look at; the last convolution's"
    )
    shard: int = Field(default=50, ge=1, description="examples in one task")

    def require_layer(self, subject: Subject) -> None:
        """Raise `UnknownNameError` for a layer that a network which can be looked into does not have."""
        if self.layer is not None and subject.classifier.knowledge == "white":
            named_layer(subject.classifier, self.layer, where="with.layer")
