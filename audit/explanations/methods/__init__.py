"""Attribution methods by name; every one is called the same way (`method.py`)."""

from __future__ import annotations

from collections.abc import Callable

from raiaudit.audit.explanations.methods.gradient import InputTimesGradient, Saliency
from raiaudit.audit.explanations.methods.method import Method
from raiaudit.audit.explanations.methods.path import IntegratedGradients
from raiaudit.errors import UnknownNameError

__all__ = ["METHODS", "find_method"]

METHODS: dict[str, Callable[[], Method]] = {
    "saliency": Saliency,
    "input_x_gradient": InputTimesGradient,
    "integrated_gradients": IntegratedGradients,
}


def find_method(name: str) -> Method:
    """The method called `name`, with its usual settings. Raises `UnknownNameError`."""
    if name not in METHODS:
        raise UnknownNameError("attribution method", name, METHODS)
    return METHODS[name]()
