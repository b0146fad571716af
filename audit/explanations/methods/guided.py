"""Guided backpropagation, kept as a known-bad control: never offered as an explanation.

J. T. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller, arXiv:1412.6806: the gradient, with its negative
part cut off behind every ReLU. It largely restores the input whatever the weights are, and so fails the
randomisation test (J. Adebayo et al., arXiv:1810.03292): a test that it passes is broken. ReLUs are found as
they are called, in modules and functions alike.

Shapes: B examples, F features. Errors: `CapabilityError` for a network that calls no ReLU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from raiaudit.audit.explanations.methods.gradient import target_gradient
from raiaudit.audit.explanations.methods.method import WHITE_BOX, Maps
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from torch.overrides import TorchFunctionMode

    from raiaudit.audit.check import Capability
    from raiaudit.audit.explanations.methods.views import View

__all__ = ["GuidedBackpropagation"]


@dataclass(frozen=True)
class GuidedBackpropagation:
    """|∂f/∂x| with only what speaks for the class passed back through ReLUs."""

    name: ClassVar[str] = "guided_backpropagation"
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "tabular"})
    needs: ClassVar[frozenset[Capability]] = WHITE_BOX
    signed: ClassVar[bool] = False
    citation: ClassVar[str] = "springenberg2015"

    def explain(self, view: View, target_B: Tensor, *, rngs: Sequence[np.random.Generator]) -> Maps:
        """The largest magnitude in each feature."""
        import torch

        seen: list[Tensor] = []
        rows = torch.arange(len(view.x), device=view.x.device)
        with _guide(seen.append):
            gradient = target_gradient(view, view.x, rows, target_B)
        if not seen:
            raise CapabilityError(
                "guided backpropagation changes ReLUs, and this network calls none",
                remedy="hold its maps against another control",
            )
        return Maps(view.largest(gradient.abs()), passes=2)


def _guide(seen: Callable[[Any], None]) -> TorchFunctionMode:
    """A mode in which gradients lose their negative part where they reach a ReLU's output."""
    import torch
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    relus = {
        torch.relu,
        torch.relu_,
        functional.relu,
        functional.relu_,
        torch.Tensor.relu,
        torch.Tensor.relu_,
    }

    class Guided(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            found = func(*args, **(kwargs or {}))
            if func in relus and found.requires_grad:
                seen(found)
                found.register_hook(lambda gradient: gradient.clamp(min=0))
            return found

    return Guided()
