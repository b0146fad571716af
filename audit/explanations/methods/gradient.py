"""Maps from one gradient: saliency and input × gradient.

Saliency: K. Simonyan, A. Vedaldi, A. Zisserman, arXiv:1312.6034: |∂f/∂x|, the largest over the elements of a
feature. Input × gradient: A. Shrikumar et al., arXiv:1605.01713: x · ∂f/∂x, summed over the elements; the
input is taken relative to the view's baseline, so that what is "absent" counts for nothing.
f is the logit of the explained class. Shapes: B examples, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from raiaudit.audit.explanations.methods.method import EVERY_MODALITY, WHITE_BOX, Maps
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from raiaudit.audit.check import Capability
    from raiaudit.audit.explanations.methods.views import View

__all__ = ["InputTimesGradient", "Saliency", "require_gradients", "target_gradient"]


def require_gradients(view: View) -> None:
    """Raise `CapabilityError` for a view of which only answers can be had."""
    if view.differentiable:
        return
    problem = "this model gives no gradients with respect to its input"
    if view.is_text:
        problem = "this text model does not show its embedding, or gives no gradients"
    raise CapabilityError(
        problem, remedy="choose a method that needs answers alone: occlusion or kernel_shap"
    )


def target_gradient(view: View, x: Tensor, rows_R: Tensor, target_R: Tensor, *, chunk: int = 256) -> Tensor:
    """∂(logit of the target)/∂x for points x R×…, of the examples `rows_R`; R×….

    Raises `CapabilityError` where there is nothing to differentiate.
    """
    import torch

    require_gradients(view)
    parts = []
    for part, rows, target in zip(
        torch.split(x, chunk), torch.split(rows_R, chunk), torch.split(target_R, chunk), strict=True
    ):
        point = part.detach().requires_grad_()
        with torch.enable_grad():
            chosen = view.logits(point, rows).gather(1, target[:, None]).sum()
            parts.append(torch.autograd.grad(chosen, point)[0])
    return torch.cat(parts)


@dataclass(frozen=True)
class Saliency:
    """|∂f/∂x|."""

    name: ClassVar[str] = "saliency"
    modalities: ClassVar[frozenset[str]] = EVERY_MODALITY
    needs: ClassVar[frozenset[Capability]] = WHITE_BOX
    signed: ClassVar[bool] = False
    citation: ClassVar[str] = "simonyan2014"

    def explain(self, view: View, target_B: Tensor, *, rngs: Sequence[np.random.Generator]) -> Maps:
        """The largest magnitude in each feature."""
        import torch

        gradient = target_gradient(view, view.x, torch.arange(len(view.x), device=view.x.device), target_B)
        return Maps(view.largest(gradient.abs()), passes=2)


@dataclass(frozen=True)
class InputTimesGradient:
    """(x − baseline) · ∂f/∂x."""

    name: ClassVar[str] = "input_x_gradient"
    modalities: ClassVar[frozenset[str]] = EVERY_MODALITY
    needs: ClassVar[frozenset[Capability]] = WHITE_BOX
    signed: ClassVar[bool] = True
    citation: ClassVar[str] = "shrikumar2016"

    def explain(self, view: View, target_B: Tensor, *, rngs: Sequence[np.random.Generator]) -> Maps:
        """The sum over the elements of each feature."""
        import torch

        gradient = target_gradient(view, view.x, torch.arange(len(view.x), device=view.x.device), target_B)
        return Maps(view.by_feature((view.x - view.baseline) * gradient), passes=2)
