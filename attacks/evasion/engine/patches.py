"""Changes put on a network for a single call and taken off again, that leave its answers as they are.

There is no copy: wrappers and hooks keep seeing every pass, and the classifier is never left changed. Which
batch norm follows which layer is learnt by watching one forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from raiaudit.attacks.evasion.engine.balls import per_row

__all__ = [
    "Call",
    "Patch",
    "exact_head",
    "folded",
    "forwarding",
    "last_linear",
    "normalised",
    "put_on",
    "reordered",
    "watched",
]

Patch = Callable[[], Callable[[], None]]
"""Puts one change on; returns what takes it off."""


@contextmanager
def put_on(patch: Patch) -> Iterator[None]:
    """The patch, for the length of the context."""
    take_off = patch()
    try:
        yield
    finally:
        take_off()


Call = tuple[nn.Module, Tensor, Tensor]
_Layer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear


@contextmanager
def watched(model: nn.Module) -> Iterator[list[Call]]:
    """Every call of a leaf module within the context: (module, input, output)."""
    calls: list[Call] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if len(inputs) == 1 and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
            calls.append((module, inputs[0], output))

    hooks = [m.register_forward_hook(note) for m in model.modules() if not list(m.children())]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def normalised(calls: list[Call]) -> dict[_Layer, _BatchNorm]:
    """Layers that are called once, and whose output goes into a batch norm in evaluation mode."""
    times = {id(module): sum(other is module for other, _, _ in calls) for module, _, _ in calls}
    maker = {id(output): module for module, _, output in calls}
    pairs: dict[_Layer, _BatchNorm] = {}
    for norm, taken, _ in calls:
        layer = maker.get(id(taken))
        if (
            isinstance(norm, _BatchNorm)
            and norm.running_mean is not None
            and not norm.training
            and isinstance(layer, _Layer)
            and times[id(layer)] == times[id(norm)] == 1
        ):
            pairs[layer] = norm
    return pairs


def last_linear(calls: list[Call], classes: int) -> nn.Linear | None:
    """The linear layer that ends the call with one logit a class, where there is one."""
    last = calls[-1][0] if calls else None
    return last if isinstance(last, nn.Linear) and last.out_features == classes else None


def _swapped(module: nn.Module, name: str, value: Tensor) -> Patch:
    """A parameter exchanged for another."""

    parameter = nn.Parameter(value, requires_grad=False)

    def apply() -> Callable[[], None]:
        before = module._parameters[name]
        module._parameters[name] = parameter
        return lambda: module._parameters.__setitem__(name, before)

    return apply


def forwarding(module: nn.Module, forward: Callable[[Tensor], Tensor]) -> Patch:
    """A forward exchanged for another."""

    def apply() -> Callable[[], None]:
        before = module.__dict__.get("forward")
        module.__dict__["forward"] = forward
        if before is None:
            return lambda: module.__dict__.pop("forward")
        return lambda: module.__dict__.__setitem__("forward", before)

    return apply


def _together(*patches: Patch) -> Patch:
    """Several patches as one."""

    def apply() -> Callable[[], None]:
        undo = [patch() for patch in patches]

        def take_off() -> None:
            for one in reversed(undo):
                one()

        return take_off

    return apply


def folded(layer: _Layer, norm: _BatchNorm) -> Patch:
    """The batch norm's scale and shift moved into the layer before it; the batch norm then passes through."""
    weight, bias, mean, variance = layer.weight, layer.bias, norm.running_mean, norm.running_var
    assert isinstance(weight, Tensor)
    assert mean is not None
    assert variance is not None
    with torch.no_grad():
        scale = (variance.double() + norm.eps).rsqrt()
        if norm.affine:
            scale = scale * norm.weight.double()
        shift = -mean.double() if bias is None else bias.double() - mean.double()
        folded_bias = shift * scale
        if norm.affine:
            folded_bias = folded_bias + norm.bias.double()
        folded_weight = weight.double() * per_row(scale, weight)
    order = torch.channels_last if weight.dim() == 4 else torch.contiguous_format
    return _together(
        _swapped(layer, "weight", folded_weight.to(weight.dtype).contiguous(memory_format=order)),
        _swapped(layer, "bias", folded_bias.to(weight.dtype)),
        forwarding(norm, lambda x: x),
    )


def reordered(layer: nn.Module) -> Patch:
    """A convolution's weights in channels-last order."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return _swapped(layer, "weight", weight.detach().contiguous(memory_format=torch.channels_last))


def exact_head(head: nn.Linear) -> Patch:
    """The last layer in float32, whatever autocast says."""

    def forward(x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            bias = None if head.bias is None else head.bias.float()
            return nn.functional.linear(x.float(), head.weight.float(), bias)

    return forwarding(head, forward)
