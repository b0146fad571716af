"""The classifier as the engine asks it: exactly, or quickly.

`exact` is the classifier itself. `search` may take a quicker form of it with the same answers: batch norms
folded into the layers before them, weights in channels-last order and quicker pooling where they pay. These
are decided by rule, so that a search can be repeated to the last bit. A bfloat16 trunk with a float32 head,
and a forward that went through `torch.compile`, are measured on a few clean rows if the caller wishes.
Whatever the search finds, the engine asks `exact` about.

A form that moves any clean logit is given up, bfloat16 excepted. A compiled forward takes batches padded to a
few sizes, so that each is compiled once.

Legend: B rows, K classes, … the shape of one input.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from raiaudit.attacks.evasion.base import LogitsOf
from raiaudit.attacks.evasion.engine.layers import rewritten
from raiaudit.attacks.evasion.engine.patches import (
    Patch,
    exact_head,
    folded,
    forwarding,
    last_linear,
    normalised,
    put_on,
    reordered,
    watched,
)

__all__ = ["Compile", "Form", "Network", "Precision", "bfloat16_hardware"]

Precision = Literal["auto", "fp32", "bf16"]
Compile = Literal["auto", "on", "off"]

_log = logging.getLogger(__name__)

_TOLERANCE = 1e-4  # of the largest clean logit: what a form may move a logit by
_TIMED = 2  # passes timed of each form, after one that warms up
_WORTH_COMPILING = 1800.0  # seconds of search ahead that pay for minutes of compiling
_SMALLEST_BUCKET = 16


@dataclass(frozen=True, slots=True)
class Form:
    """One way to compute the classifier: changes put on for the call, the order of the input, bfloat16."""

    patches: tuple[Patch, ...] = ()
    channels_last: bool = False
    low: bool = False

    def __call__(self, classifier: LogitsOf, x: Tensor) -> Tensor:
        """logits_BK in float32."""
        with ExitStack() as stack:
            for patch in self.patches:
                stack.enter_context(put_on(patch))
            if self.low:
                stack.enter_context(torch.autocast(x.device.type, torch.bfloat16))
            if self.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            return classifier(x).float()


class Network:
    """`exact` and `search` of one classifier; alike until `quicken` has found something quicker.

    With `samples` > 1 both answer the logits of the mean probabilities over that many forwards.
    """

    def __init__(self, classifier: LogitsOf, *, samples: int = 1) -> None:
        self.samples = samples
        self.form: dict[bool, Form] = {True: Form(), False: Form()}
        """By whether the pass shall give a gradient."""
        self._classifier = classifier

    def exact(self, x: Tensor) -> Tensor:
        """logits_BK of the classifier as it is."""
        return self._mean(Form(), x)

    def search(self, x: Tensor) -> Tensor:
        """logits_BK of the quickest form."""
        return self._mean(self.form[x.requires_grad and torch.is_grad_enabled()], x)

    def _mean(self, form: Form, x: Tensor) -> Tensor:
        if self.samples == 1:
            return form(self._classifier, x)
        answers = [form(self._classifier, x).softmax(1) for _ in range(self.samples)]
        return torch.stack(answers).mean(0).log()

    def quicken(
        self,
        x: Tensor,
        clean_BK: Tensor,
        precision: Precision = "fp32",
        compilation: Compile = "off",
        *,
        ahead: int = 0,
    ) -> int:
        """Look for a quicker form on clean rows, whose logits are known; returns forwards spent a row.

        `precision` "auto" lets bfloat16 compete where the hardware has it, "bf16" lets nothing else compete.
        `compilation` "auto" tries it where the `ahead` rows to come would take long enough.
        """
        model = self._classifier
        if not isinstance(model, nn.Module) or self.samples > 1 or not len(x):
            return 0
        trial = _Trial(model, x, clean_BK)
        forms = trial.forms(precision)
        for gradient in (False, True):
            self.form[gradient] = trial.quickest(forms, gradient)
        if compilation == "off":
            return trial.calls
        seconds = ahead / len(x) * trial.seconds(self.form[False], gradient=False)
        if compilation == "on" or (compilation == "auto" and seconds >= _WORTH_COMPILING):
            for gradient in (False, True):
                compiled = trial.compiled(self.form[gradient])
                if compiled is not None:
                    rivals = [compiled] if compilation == "on" else [self.form[gradient], compiled]
                    self.form[gradient] = trial.quickest(rivals, gradient)
        return trial.calls


class _Trial:
    """Forms of one model, tried on clean rows. `calls` counts the forwards."""

    def __init__(self, model: nn.Module, x: Tensor, clean_BK: Tensor) -> None:
        self.model, self.x, self.clean_BK = model, x.detach(), clean_BK
        self.calls = 0
        self._seconds: dict[tuple[Form, bool], float] = {}

    def forms(self, precision: Precision) -> list[Form]:
        """The float32 form that the rules choose, and the bfloat16 one; of those what may compete."""
        self.calls += 1
        with torch.no_grad(), watched(self.model) as calls:
            self.model(self.x)
        norms, head = normalised(calls), last_linear(calls, self.clean_BK.shape[1])
        fold = tuple(folded(layer, norm) for layer, norm in norms.items())
        convolutions = dict.fromkeys(m for m, _, _ in calls if isinstance(m, nn.Conv2d))
        order = tuple(reordered(m) for m in convolutions if m not in norms)
        on_cpu = self.x.device.type == "cpu"
        quicker = {m: rewritten(m, taken) for m, taken, _ in calls} if on_cpu else {}
        same = fold + tuple(forwarding(m, forward) for m, forward in quicker.items() if forward)
        # Group norms are slow in that order on a CPU; on a GPU only half-width products gain by it.
        grouped = any(isinstance(m, nn.GroupNorm) for m, _, _ in calls)
        in_order = bool(convolutions) and not grouped and on_cpu
        wishes = [Form(same + order, channels_last=True)] * in_order + [Form(same)] * bool(same)
        chosen = next((form for form in wishes if self._same(form)), Form())
        may_be_low = precision == "bf16" or (precision == "auto" and bfloat16_hardware(self.x.device))
        if not may_be_low or head is None:
            return [chosen]
        patches = chosen.patches if chosen.channels_last else chosen.patches + order
        low = Form((*patches, exact_head(head)), channels_last=bool(convolutions), low=True)
        return [low] if precision == "bf16" else [chosen, low]

    def _same(self, form: Form) -> bool:
        """Whether the form leaves the clean logits where they are."""
        self.calls += 1
        with torch.no_grad():
            moved = (form(self.model, self.x) - self.clean_BK).abs().max()
        room = _TOLERANCE * self.clean_BK.abs().max().clamp_min(1e-6)
        return bool(moved <= room)

    def compiled(self, form: Form) -> Form | None:
        """The form through `torch.compile`; None where that fails or changes the answers."""
        forward = forwarding(self.model, _padded(torch.compile(self.model.forward, dynamic=False)))
        candidate = replace(form, patches=(*form.patches, forward))
        try:
            self.seconds(candidate, gradient=True)
            return candidate if form.low or self._same(candidate) else None
        except Exception as problem:  # whatever the compiler and its back ends may raise
            _log.warning("torch.compile failed, the search goes on without it: %r", problem)
            return None

    def quickest(self, forms: Sequence[Form], gradient: bool) -> Form:
        """The form with the shortest pass; a single one is not timed."""
        return (
            min(forms, key=lambda form: self.seconds(form, gradient=gradient)) if len(forms) > 1 else forms[0]
        )

    def seconds(self, form: Form, *, gradient: bool) -> float:
        """The shorter of the timed passes over the rows."""
        key = (form, gradient)
        if key not in self._seconds:
            times = [self._pass(form, gradient) for _ in range(1 + _TIMED)]
            self._seconds[key] = min(times[1:], default=math.inf)
        return self._seconds[key]

    def _pass(self, form: Form, gradient: bool) -> float:
        self.calls += 1
        x = self.x.clone().requires_grad_(gradient)
        began = time.perf_counter()
        with torch.set_grad_enabled(gradient):
            total = form(self.model, x).sum()
            if gradient:
                torch.autograd.grad(total, x)
        if x.is_cuda:
            torch.cuda.synchronize(x.device)
        return time.perf_counter() - began


def _padded(compiled: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The compiled forward on batches padded with dead rows to a power of two."""

    def forward(x: Tensor) -> Tensor:
        bucket = max(_SMALLEST_BUCKET, 1 << (len(x) - 1).bit_length())
        dead = x[:1].detach().expand(bucket - len(x), *x.shape[1:])
        return compiled(torch.cat([x, dead]) if len(dead) else x)[: len(x)]

    return forward


def bfloat16_hardware(device: torch.device) -> bool:
    """Whether bfloat16 products run in hardware there; emulated ones are several times slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False
