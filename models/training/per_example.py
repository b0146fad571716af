"""Clipped sums of per-example gradients: what every way to compute them has in common, and `vmap`.

An example's gradient is that of the mean loss over its V augmented views (arXiv:2204.13650), over all
trainable parameters together; it is scaled to an L2 norm of at most C before the sum.

`Vmap` is `torch.func.vmap(grad)`: any layer with a batching rule, at the price of one gradient an example
held in memory. `hooks.py` has the quicker way for the layers it knows.

Shapes: B examples, V views of each, views x_BV…, labels y_B int64, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Clipped", "PerExample", "Vmap", "clip_factors", "losses_of", "trainable"]

_CHUNK_BYTES = 128 * 2**20  # of per-example gradients held at once


@dataclass(frozen=True, slots=True)
class Clipped:
    """Sum of clipped gradients by parameter name; norms_B before clipping, losses_B (means over views).

    An example whose gradient is not finite has norm 0: it took no part.
    """

    sums: dict[str, Tensor]
    norms_B: Tensor
    losses_B: Tensor


class PerExample(Protocol):
    """One way to compute clipped sums. `name` is what a recipe calls it."""

    name: str

    def clipped(self, x_BV: Tensor, y_B: Tensor, clip: float) -> Clipped:
        """The sum over B ≥ 1 examples of their gradients, each clipped to `clip`."""
        ...


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training moves, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def losses_of(logits: Tensor, y_B: Tensor, *, label_smoothing: float) -> Tensor:
    """losses_B, each the mean over its own views, from logits of the B·V views, view by view.

    A loss that is one number for the batch has lost what clipping needs: the shape is held.
    """
    views = len(logits) // len(y_B)
    labels = y_B.repeat_interleave(views)
    losses = functional.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)
    assert losses.shape == (len(y_B) * views,), "clipping needs one loss for each example"
    return losses.view(len(y_B), views).mean(1)


def clip_factors(norms_B: Tensor, clip: float) -> Tensor:
    """factor_B in [0, 1] that brings each norm to at most `clip`."""
    return (clip / norms_B.clamp_min(torch.finfo(norms_B.dtype).tiny)).clamp_max(1.0)


class Vmap:
    """`vmap(grad)`, a chunk of examples at a time."""

    name = "vmap"

    def __init__(self, model: nn.Module, *, label_smoothing: float) -> None:
        self.model = model
        self.label_smoothing = label_smoothing
        size = sum(parameter.numel() for parameter in trainable(model).values())
        self.chunk = max(1, _CHUNK_BYTES // (4 * size))

    def clipped(self, x_BV: Tensor, y_B: Tensor, clip: float) -> Clipped:
        """See `PerExample`."""
        sums = {name: torch.zeros_like(parameter) for name, parameter in trainable(self.model).items()}
        norms, losses = [], []
        for x_part, y_part in zip(torch.split(x_BV, self.chunk), torch.split(y_B, self.chunk), strict=True):
            gradients, losses_B = self.gradients(x_part, y_part)
            flat = {name: gradient.reshape(len(y_part), -1) for name, gradient in gradients.items()}
            per_parameter_PB = torch.stack([gradient.norm(dim=1) for gradient in flat.values()])
            norms_B = torch.linalg.vector_norm(per_parameter_PB, dim=0)
            finite_B = norms_B.isfinite()
            if not finite_B.all():
                for gradient in flat.values():
                    gradient[~finite_B] = 0.0
                norms_B = norms_B.where(finite_B, 0.0)
            factors_B = clip_factors(norms_B, clip)
            for name, gradient in flat.items():
                sums[name] += (factors_B @ gradient).view_as(sums[name])
            norms.append(norms_B)
            losses.append(losses_B)
        return Clipped(sums, torch.cat(norms), torch.cat(losses))

    def gradients(self, x_BV: Tensor, y_B: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Gradients of each example's own loss (by parameter name, B×…), and losses_B."""
        parameters = {name: parameter.detach() for name, parameter in trainable(self.model).items()}
        buffers = dict(self.model.named_buffers())

        def loss(parameters: dict[str, Tensor], views_V: Tensor, label: Tensor) -> Tensor:
            logits_VK = functional_call(self.model, (parameters, buffers), (views_V,))
            return losses_of(logits_VK, label[None], label_smoothing=self.label_smoothing)[0]

        # The fused attention kernels have no batching rule.
        with sdpa_kernel(SDPBackend.MATH):
            per_example = vmap(grad_and_value(loss), in_dims=(None, 0, 0), randomness="different")
            gradients, losses_B = per_example(parameters, x_BV, y_B)
        return gradients, losses_B
