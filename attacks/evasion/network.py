"""The classifier as the engine asks it: exactly, or quickly.

`exact` is the classifier itself. `search` may be quicker for the same answers: batch norms
folded into the convolutions before them, weights in channels-last order, and on hardware that has it a
bfloat16 trunk with a float32 head. Whatever the search finds, the engine asks `exact` about.

The quicker form is put on for a single call and taken off again, inside the very module of the caller:
there is no copy, wrappers and hooks keep seeing every pass, and the classifier is never left changed.
Which batch norm follows which convolution is learnt by watching one forward; a fold that moves any clean
logit is given up.

Legend: B rows, K classes, … the shape of one input.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from raiaudit.attacks.evasion.balls import per_row
from raiaudit.attacks.evasion.base import LogitsOf

__all__ = ["Network", "Precision", "bfloat16_hardware"]

Precision = Literal["auto", "fp32", "bf16"]

_TOLERANCE = 1e-4  # of the largest clean logit: what folding may move a logit by

_TIMED = 3  # passes timed at each precision

Patch = Callable[[], Callable[[], None]]
"""Puts one change on; returns what takes it off."""


class Network:
    """`exact` and `search` of one classifier; alike until `quicken` has found something quicker."""

    def __init__(self, classifier: LogitsOf, *, samples: int = 1) -> None:
        self.samples = samples
        self.precision: Literal["fp32", "bf16"] = "fp32"
        self._classifier = classifier
        self._patches: list[Patch] = []
        self._channels_last = False

    def exact(self, x: Tensor) -> Tensor:
        """logits_BK of the classifier as it is."""
        return self._mean(lambda: self._classifier(x).float())

    def search(self, x: Tensor) -> Tensor:
        """logits_BK in float32, at `precision`."""
        if self._channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        low = torch.autocast(x.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()
        with self._patched(), low:
            return self._mean(lambda: self._classifier(x).float())

    def _mean(self, logits: Callable[[], Tensor]) -> Tensor:
        """Logits of the mean probabilities over `samples` forwards."""
        if self.samples == 1:
            return logits()
        return torch.stack([logits().softmax(1) for _ in range(self.samples)]).mean(0).log()

    @contextmanager
    def _patched(self) -> Iterator[None]:
        undo = [patch() for patch in self._patches]
        try:
            yield
        finally:
            for take_off in reversed(undo):
                take_off()

    def quicken(self, x: Tensor, clean_BK: Tensor, precision: Precision) -> int:
        """Look for a quicker form of the same function, judged on clean rows; returns forwards spent a row.

        "auto" takes bfloat16 where the hardware has it and a timed pass is quicker.
        """
        model = self._classifier
        if not isinstance(model, nn.Module) or self.samples > 1 or not len(x):
            return 0
        with torch.no_grad(), _watched(model) as calls:
            model(x)
        pairs, head = _followed(calls, clean_BK.shape[1])
        convolutions = [m for m, _, _ in calls if isinstance(m, nn.Conv2d)] if x.dim() == 4 else []
        self._channels_last = bool(convolutions)
        self._patches = [_fold(layer, norm) for layer, norm in pairs]
        self._patches += [_reordered(m) for m in dict.fromkeys(convolutions) if m not in dict(pairs)]
        with torch.no_grad():
            drift = (self.search(x) - clean_BK).abs().max()
        if not bool(drift <= _TOLERANCE * clean_BK.abs().max().clamp_min(1e-6)):
            self._patches, self._channels_last = [], False
        low_is_an_option = precision == "bf16" or (precision == "auto" and bfloat16_hardware(x.device))
        if not low_is_an_option or head is None:
            return 2
        self._patches.append(_exact_head(head))
        if precision == "bf16":
            self.precision = "bf16"
            return 2
        self.precision = "bf16" if self._faster_in_bf16(x) else "fp32"
        return 2 + 2 * _TIMED

    def _faster_in_bf16(self, x: Tensor) -> bool:
        seconds = {}
        for self.precision in ("fp32", "bf16"):
            for _ in range(_TIMED):  # the first warms up, the last counts
                began = time.perf_counter()
                inputs = x.detach().clone().requires_grad_()
                with torch.enable_grad():
                    torch.autograd.grad(self.search(inputs).sum(), inputs)
                if x.is_cuda:
                    torch.cuda.synchronize(x.device)
                seconds[self.precision] = time.perf_counter() - began
        return seconds["bf16"] < seconds["fp32"]


def bfloat16_hardware(device: torch.device) -> bool:
    """Whether bfloat16 products run in hardware there; emulated ones are several times slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


Call = tuple[nn.Module, Tensor, Tensor]
_Layer = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear


@contextmanager
def _watched(model: nn.Module) -> Iterator[list[Call]]:
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


def _followed(calls: list[Call], classes: int) -> tuple[list[tuple[_Layer, _BatchNorm]], nn.Linear | None]:
    """Layers whose output a batch norm in evaluation mode takes, and the linear layer that ends the call."""
    times = {id(module): sum(other is module for other, _, _ in calls) for module, _, _ in calls}
    maker = {id(output): module for module, _, output in calls}
    pairs = []
    for norm, taken, _ in calls:
        layer = maker.get(id(taken))
        if (
            isinstance(norm, _BatchNorm)
            and norm.running_mean is not None
            and not norm.training
            and isinstance(layer, _Layer)
            and times[id(layer)] == times[id(norm)] == 1
        ):
            pairs.append((layer, norm))
    last = calls[-1][0] if calls else None
    head = last if isinstance(last, nn.Linear) and last.out_features == classes else None
    return pairs, head


def _swapped(module: nn.Module, name: str, value: Tensor | None) -> Patch:
    """A parameter exchanged for another."""

    def put_on() -> Callable[[], None]:
        before = module._parameters[name]
        module._parameters[name] = None if value is None else nn.Parameter(value, requires_grad=False)
        return lambda: module._parameters.__setitem__(name, before)

    return put_on


def _forwarding(module: nn.Module, forward: Callable[[Tensor], Tensor]) -> Patch:
    """A forward exchanged for another."""

    def put_on() -> Callable[[], None]:
        before = module.__dict__.get("forward")
        module.__dict__["forward"] = forward
        if before is None:
            return lambda: module.__dict__.pop("forward")
        return lambda: module.__dict__.__setitem__("forward", before)

    return put_on


def _together(*patches: Patch) -> Patch:
    def put_on() -> Callable[[], None]:
        undo = [patch() for patch in patches]

        def take_off() -> None:
            for one in reversed(undo):
                one()

        return take_off

    return put_on


def _fold(layer: _Layer, norm: _BatchNorm) -> Patch:
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
        _forwarding(norm, lambda x: x),
    )


def _reordered(layer: nn.Module) -> Patch:
    """A convolution's weights in channels-last order."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return _swapped(layer, "weight", weight.detach().contiguous(memory_format=torch.channels_last))


def _exact_head(head: nn.Linear) -> Patch:
    """The last layer in float32, whatever autocast says."""

    def forward(x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            bias = None if head.bias is None else head.bias.float()
            return nn.functional.linear(x.float(), head.weight.float(), bias)

    return _forwarding(head, forward)
