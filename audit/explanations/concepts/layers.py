"""A layer as concepts and neighbours see it: one vector an example, and the class's gradient by it.

`penultimate` is what the last linear layer reads; any other name is a module's, and means its output.
Positions are averaged: a feature map B×C×H×W and a sequence B×L×D (padding left out) become one vector an
example; the gradient by that vector is the sum over the positions, which is how the class answers when all
of them move alike. A module that is called several times counts at its last call.

What is differentiated is the class's log-odds, z_k − log Σ_{j≠k} exp z_j. A logit alone is not defined by
what a model answers (the same number added to all of them changes no prediction); log-odds are. Shapes: B
examples, D width of the layer, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from raiaudit.audit.explanations.layers import named_layer
from raiaudit.errors import CapabilityError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["PENULTIMATE", "activations", "find_layer", "gradients", "last_linear", "log_odds", "tapped"]

PENULTIMATE = "penultimate"


def last_linear(network: nn.Module, x_B: Tensor) -> str:
    """The name of the last linear layer of a forward pass with one output a class.

    Raises `CapabilityError` where there is none, as in a network that ends in a convolution.
    """
    import torch
    from torch import nn

    called: list[tuple[str, tuple[int, ...]]] = []
    handles = [
        module.register_forward_hook(
            lambda _module, _inputs, output, name=name: called.append((name, tuple(output.shape)))
        )
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        with torch.no_grad():
            shape = tuple(network(x_B).shape)
    finally:
        for handle in handles:
            handle.remove()
    for name, output in reversed(called):
        if output == shape:
            return name
    raise CapabilityError(
        "no linear layer gives the classes, so there is no penultimate layer",
        where=f"architecture {getattr(network, 'architecture', type(network).__name__)}",
        remedy="explanations.concepts can look at another layer: name a layer under its `layers`",
    )


def find_layer(network: nn.Module, layer: str, x_B: Tensor) -> tuple[nn.Module, bool]:
    """The module a name stands for, and whether its input is meant. Raises `UnknownNameError`."""
    if layer == PENULTIMATE:
        return network.get_submodule(last_linear(network, x_B)), True
    return named_layer(network, layer, besides=[PENULTIMATE]), False


@contextmanager
def tapped(module: nn.Module, layer: str, *, reads: bool) -> Iterator[list[Tensor]]:
    """Within, each forward pass lists the activations as leaves and goes on from them."""
    import torch

    leaves: list[Tensor] = []

    def leaf(values: object) -> Tensor:
        if not isinstance(values, torch.Tensor) or not 2 <= values.ndim <= 4:
            raise UsageError(f"layer {layer!r} gives no single vector, sequence or feature map")
        leaves.append(values.detach().requires_grad_())
        return leaves[-1].clone()  # what follows may work in place, which a leaf does not allow

    handle = (
        module.register_forward_pre_hook(lambda _module, inputs: (leaf(inputs[0]), *inputs[1:]))
        if reads
        else module.register_forward_hook(lambda _module, _inputs, output: leaf(output))
    )
    try:
        yield leaves
    finally:
        handle.remove()


def activations(network: nn.Module, x_B: Tensor, layer: str) -> Tensor:
    """activation_BD of a layer, positions averaged (float32)."""
    import torch

    module, reads = find_layer(network, layer, x_B[:2])
    with torch.no_grad(), tapped(module, layer, reads=reads) as leaves:
        network(x_B)
    values = _called(leaves, layer).detach()
    return _summed(values * _weights(values, _mask(network, x_B))).float()


def gradients(network: nn.Module, x_B: Tensor, target_B: Tensor, layer: str) -> Tensor:
    """∂(log-odds of the target)/∂(activation): gradient_BD (float32); 0 where the layer decides nothing."""
    import torch

    module, reads = find_layer(network, layer, x_B[:2])
    with torch.enable_grad(), tapped(module, layer, reads=reads) as leaves:
        odds = log_odds(network(x_B), target_B).sum()
    values = _called(leaves, layer)
    (gradient,) = torch.autograd.grad(odds, values, allow_unused=True, materialize_grads=True)
    return _summed(gradient * (_weights(values, _mask(network, x_B)) > 0)).float()


def log_odds(logits_BK: Tensor, target_B: Tensor) -> Tensor:
    """log p_k / (1 − p_k) of each row's target, B."""
    from torch.nn import functional

    chosen = functional.one_hot(target_B, logits_BK.shape[1]).bool()
    others = logits_BK.masked_fill(chosen, -float("inf")).logsumexp(1)
    odds_B: Tensor = logits_BK.gather(1, target_B[:, None])[:, 0] - others
    return odds_B


def _called(leaves: list[Tensor], layer: str) -> Tensor:
    if not leaves:
        raise UsageError(
            f"layer {layer!r} takes no part in the prediction", remedy="name a layer that is called"
        )
    return leaves[-1]


def _mask(network: nn.Module, x_B: Tensor) -> Tensor | None:
    """Which positions of texts are tokens, mask_BL."""
    padding = getattr(network, "padding", None)
    return None if padding is None or x_B.ndim != 2 or x_B.is_floating_point() else x_B != padding


def _weights(values: Tensor, mask_BL: torch.Tensor | None) -> Tensor:
    """What a position counts in the mean: broadcasts against `values`, sums to 1 over the positions."""
    import torch

    if values.ndim == 2:
        return torch.ones_like(values[:1, :1])
    if values.ndim == 4:
        return torch.full_like(values[:1, :1, :1, :1], 1 / (values.shape[2] * values.shape[3]))
    if mask_BL is not None and mask_BL.shape == values.shape[:2]:
        counted = mask_BL.to(values.dtype)[..., None]
        return counted / counted.sum(1, keepdim=True)
    return torch.full_like(values[:1, :1, :1], 1 / values.shape[1])


def _summed(values: Tensor) -> Tensor:
    """Sums over the positions: B×D."""
    if values.ndim == 2:
        return values
    return values.sum(1) if values.ndim == 3 else values.sum((2, 3))
