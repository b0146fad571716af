"""Adversarial weight perturbation (Wu et al., arXiv:2004.05884): the loss is flat in the weights too.

Each weight matrix or kernel w moves by v = γ · ‖w‖/‖g‖ · g, one step along the gradient g of the loss
that is about to be minimised, and the gradient that trains is taken at w + v. Biases and norms stay.

The weights themselves are never touched: the second pass computes with w + v in their place, and its
gradient with respect to w + v is the one with respect to w. Running statistics are those of the first
pass, at w: of the weights that will be served. (The authors' come from the second.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

__all__ = ["frozen_statistics", "raised_weights"]


def raised_weights(model: nn.Module, loss: Tensor, gamma: float) -> dict[str, Tensor]:
    """w + v by parameter name, with w's gradient; `loss` is of `model`, and its graph is used up."""
    weights = {name: p for name, p in model.named_parameters() if p.dim() > 1 and p.requires_grad}
    gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return {
        name: weight + _move(weight.detach(), gradient, gamma)
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
        if gradient is not None
    }


def _move(weight: Tensor, gradient: Tensor, gamma: float) -> Tensor:
    size = gradient.norm()
    return torch.where(size > 0, gamma * weight.norm() / size, 0.0) * gradient


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Within, normalisation by the batch leaves the running statistics as they are."""
    norms = [module for module in model.modules() if isinstance(module, _NormBase)]
    tracking = [module.track_running_stats for module in norms]
    try:
        for module in norms:
            # In training mode the batch's own statistics are used either way.
            module.track_running_stats = False
        yield
    finally:
        for module, value in zip(norms, tracking, strict=True):
            module.track_running_stats = value
