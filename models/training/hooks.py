"""Clipped sums by book-keeping (arXiv:2210.00038): one forward and one backward for the whole batch.

Forward hooks keep the input and the output of every layer that has parameters; the gradients of the outputs
come from one backward that computes no gradient of a parameter. From the two a rule (`layer_rules.py`) has
the norm of each example's gradient and, once the clipping factors are known, their weighted sum.

It cannot serve a model with a layer without a rule, or with a parameter used twice in one forward: the
constructor, or the first forward, then raises `NotImplementedError` with the reason.

Shapes: as in `per_example.py`; the B·V views of a batch run through the model as one batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from raiaudit.models.training.layer_rules import RULES, Part, why_no_rule
from raiaudit.models.training.per_example import Clipped, clip_factors, losses_of, trainable

__all__ = ["BookKeeping"]

_CHUNK_BYTES = 256 * 2**20  # of what the layers of a chunk keep


@dataclass(frozen=True, slots=True)
class _Kept:
    """One layer's input and output, later the output's gradient; the leading axis is a multiple of B."""

    module: nn.Module
    x: Tensor
    out: Tensor
    version: int = 0


class BookKeeping:
    """Clipped sums of a model whose layers all have a rule."""

    name = "hooks"

    def __init__(self, model: nn.Module, *, label_smoothing: float) -> None:
        self.model = model
        self.label_smoothing = label_smoothing
        self.layers = {
            module: name
            for name, module in model.named_modules()
            if any(parameter.requires_grad for parameter in module.parameters(recurse=False))
        }
        for module, name in self.layers.items():
            if reason := why_no_rule(module):
                raise NotImplementedError(f"{name or 'the model itself'}: {reason}")
        if len(list(model.named_parameters(remove_duplicate=False))) != len(list(model.parameters())):
            raise NotImplementedError("a parameter belongs to two layers")
        self.chunks: dict[torch.Size, int] = {}

    def clipped(self, x_BV: Tensor, y_B: Tensor, clip: float) -> Clipped:
        """See `PerExample`."""
        sums = {name: torch.zeros_like(parameter) for name, parameter in trainable(self.model).items()}
        norms, losses = [], []
        chunk = self._chunk(x_BV)
        for x_part, y_part in zip(torch.split(x_BV, chunk), torch.split(y_B, chunk), strict=True):
            kept, losses_B = self._gradients_of_outputs(x_part, y_part)
            parts = self._parts(kept, len(y_part))
            norms_B = _norms(parts)
            finite_B = norms_B.isfinite()
            if not finite_B.all():  # zero times what is not a number is not zero
                parts = self._parts([_only(layer, finite_B) for layer in kept], len(y_part))
                norms_B = _norms(parts).where(finite_B, 0.0)
            factors_B = clip_factors(norms_B, clip)
            for name, part in parts.items():
                sums[name] += part.weighted_sum(factors_B)
            norms.append(norms_B)
            losses.append(losses_B)
        return Clipped(sums, torch.cat(norms), torch.cat(losses))

    def parts(self, x_BV: Tensor, y_B: Tensor) -> Iterator[dict[str, Part]]:
        """The examples' own gradients by parameter name, unclipped, a chunk of examples at a time."""
        chunk = self._chunk(x_BV)
        for x_part, y_part in zip(torch.split(x_BV, chunk), torch.split(y_B, chunk), strict=True):
            kept, _ = self._gradients_of_outputs(x_part, y_part)
            yield self._parts(kept, len(y_part))

    def _gradients_of_outputs(self, x_BV: Tensor, y_B: Tensor) -> tuple[list[_Kept], Tensor]:
        with torch.enable_grad(), self._keeping() as kept, sdpa_kernel(SDPBackend.MATH):
            logits = self.model(x_BV.flatten(0, 1))
            losses_B = losses_of(logits, y_B, label_smoothing=self.label_smoothing)
        for layer in kept:
            if layer.out._version != layer.version:
                raise NotImplementedError(f"{self.layers[layer.module]}: its output was changed in place")
        outs = [layer.out for layer in kept]
        gradients = torch.autograd.grad(losses_B.sum(), outs, allow_unused=True)
        used = zip(kept, gradients, strict=True)
        return [_Kept(it.module, it.x, out) for it, out in used if out is not None], losses_B.detach()

    @contextmanager
    def _keeping(self) -> Iterator[list[_Kept]]:
        """Within, each layer's forward adds an entry to the list."""
        kept: list[_Kept] = []
        seen: set[nn.Module] = set()

        def keep(module: nn.Module, inputs: tuple[Any, ...], out: Any) -> None:
            if module in seen:
                raise NotImplementedError(f"{self.layers[module]} is used twice in one forward")
            seen.add(module)
            (x,) = inputs
            kept.append(_Kept(module, x.detach(), out, out._version))

        handles = [module.register_forward_hook(keep) for module in self.layers]
        try:
            yield kept
        finally:
            for handle in handles:
                handle.remove()

    def _parts(self, kept: list[_Kept], B: int) -> dict[str, Part]:
        wanted = trainable(self.model)
        parts = {}
        for layer in kept:
            prefix = self.layers[layer.module]
            for name, part in RULES[type(layer.module)](layer.module, layer.x, layer.out, B).items():
                full = f"{prefix}.{name}" if prefix else name
                if full in wanted:
                    parts[full] = part
        return parts

    def _chunk(self, x_BV: Tensor) -> int:
        """Examples at a time, by the sizes one of them leaves in every layer: a function of shapes alone."""
        shape = x_BV.shape[1:]
        if shape not in self.chunks:
            training = self.model.training
            self.model.eval()  # nothing is drawn
            with torch.no_grad(), self._keeping() as kept:
                self.model(x_BV[0])
            self.model.train(training)
            held = sum(_elements(layer) for layer in kept)
            self.chunks[shape] = max(1, _CHUNK_BYTES // (4 * held))
        return self.chunks[shape]


def _elements(layer: _Kept) -> int:
    """Numbers held for one example: input, output and its gradient, windows or gradients of parameters."""
    weights = sum(parameter.numel() for parameter in layer.module.parameters(recurse=False))
    windows = 0
    if isinstance(layer.module, nn.Conv2d):
        windows = layer.out.numel() // layer.module.out_channels * layer.module.weight[0].numel()
    return layer.x.numel() + 3 * layer.out.numel() + max(weights, windows)


def _norms(parts: dict[str, Part]) -> Tensor:
    return torch.stack([part.squared_norms() for part in parts.values()]).sum(0).sqrt()


def _only(layer: _Kept, wanted_B: Tensor) -> _Kept:
    """The layer's record with zeros in place of the other examples."""

    def masked(x: Tensor) -> Tensor:
        rows_R = wanted_B.repeat_interleave(len(x) // len(wanted_B))
        return x.where(rows_R.view(-1, *(1,) * (x.dim() - 1)), torch.zeros_like(x))

    return _Kept(layer.module, masked(layer.x), masked(layer.out))
