"""The classifier as the engine asks it: exactly, or quickly.

`exact` is the classifier itself. `search` may be quicker for the same answers: batch norms
folded into the convolutions before them, weights in channels-last order, and on hardware that has it a
bfloat16 trunk with a float32 head. Whatever the search finds, the engine asks `exact` about.

A fold that moves any clean logit is given up (see `patches`). Compilation is a choice of the caller; its
batches are padded to a few sizes, so that each is compiled once.

Legend: B rows, K classes, … the shape of one input.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from raiaudit.attacks.evasion.base import LogitsOf
from raiaudit.attacks.evasion.patches import (
    Patch,
    exact_head,
    folded,
    last_linear,
    normalised,
    reordered,
    watched,
)

__all__ = ["Compile", "Network", "Precision", "bfloat16_hardware"]

Precision = Literal["auto", "fp32", "bf16"]
Compile = Literal["auto", "on", "off"]

_TOLERANCE = 1e-4  # of the largest clean logit: what folding may move a logit by

_TIMED = 3  # passes timed of each form

_SMALLEST_BUCKET = 16


class Network:
    """`exact` and `search` of one classifier; alike until `quicken` has found something quicker."""

    def __init__(self, classifier: LogitsOf, *, samples: int = 1) -> None:
        self.samples = samples
        self.precision: Literal["fp32", "bf16"] = "fp32"
        self._classifier = self._call = classifier
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
            return self._mean(lambda: self._call(x).float())

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

    def quicken(
        self, x: Tensor, clean_BK: Tensor, precision: Precision = "fp32", compilation: Compile = "off"
    ) -> int:
        """Look for a quicker form of the same function, judged on clean rows; returns forwards spent a row.

        "auto" takes bfloat16 where the hardware has it, or a compiled network, if a timed pass is quicker.
        """
        model = self._classifier
        if not isinstance(model, nn.Module) or self.samples > 1 or not len(x):
            return 0
        with torch.no_grad(), watched(model) as calls:
            model(x)
        norms, head = normalised(calls), last_linear(calls, clean_BK.shape[1])
        convolutions = [m for m, _, _ in calls if isinstance(m, nn.Conv2d)] if x.dim() == 4 else []
        self._channels_last = bool(convolutions)
        self._patches = [folded(layer, norm) for layer, norm in norms.items()]
        self._patches += [reordered(m) for m in dict.fromkeys(convolutions) if m not in norms]
        with torch.no_grad():
            drift = (self.search(x) - clean_BK).abs().max()
        if not bool(drift <= _TOLERANCE * clean_BK.abs().max().clamp_min(1e-6)):
            self._patches, self._channels_last = [], False
        spent = 2
        if head is not None and (
            precision == "bf16" or (precision == "auto" and bfloat16_hardware(x.device))
        ):
            self._patches.append(exact_head(head))
            spent += self._choose("precision", "bf16", x, forced=precision == "bf16")
        if compilation != "off":
            compiled = torch.compile(model, dynamic=False)
            spent += self._choose("_call", _padded(compiled), x, forced=compilation == "on")
        return spent

    def _choose(self, what: str, candidate: object, x: Tensor, *, forced: bool) -> int:
        """Keep the candidate if it is quicker than what there is; returns forwards spent a row."""
        present = getattr(self, what)
        seconds = 0.0 if forced else self._pass(x)
        setattr(self, what, candidate)
        if forced:
            return 0
        if self._pass(x) >= seconds:
            setattr(self, what, present)
        return 2 * _TIMED

    def _pass(self, x: Tensor) -> float:
        """Seconds of one forward and input gradient: the last of a few, the first of which warm up."""
        seconds = 0.0
        for _ in range(_TIMED):
            began = time.perf_counter()
            inputs = x.detach().clone().requires_grad_()
            with torch.enable_grad():
                torch.autograd.grad(self.search(inputs).sum(), inputs)
            if x.is_cuda:
                torch.cuda.synchronize(x.device)
            seconds = time.perf_counter() - began
        return seconds


def _padded(compiled: LogitsOf) -> LogitsOf:
    """The compiled network on batches padded with dead rows to a power of two."""

    def call(x: Tensor) -> Tensor:
        bucket = max(_SMALLEST_BUCKET, 1 << (len(x) - 1).bit_length())
        dead = x[:1].expand(bucket - len(x), *x.shape[1:])
        return compiled(torch.cat([x, dead]) if len(dead) else x)[: len(x)]

    return call


def bfloat16_hardware(device: torch.device) -> bool:
    """Whether bfloat16 products run in hardware there; emulated ones are several times slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False
