"""TracIn (arXiv:2002.08484) by all trainable parameters, without forming what need not be formed.

Products of gradients are summed parameter by parameter. Where every layer has a rule
(`models/training/layer_rules.py`), one forward and one backward a chunk of examples give the inputs of all
layers and the gradients of their outputs; a linear layer's product is then that of two small Gram matrices,
and only convolutions form their gradients. Any other network takes `vmap(grad)`.

Shapes: B audited examples, M training examples, P parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from raiaudit.models.training.layer_rules import Part

    Chunks = Callable[[Tensor, Tensor], Iterator[Mapping[str, Part]]]

__all__ = ["by_all_parameters"]

_CHUNK = 128  # examples whose layers' inputs still fit a processor's cache well
_MOST_BYTES = 1 << 30  # of the audited examples' gradients


def by_all_parameters(
    network: nn.Module, x_M: Tensor, y_M: Tensor, x_B: Tensor, y_B: Tensor
) -> tuple[Tensor, Tensor]:
    """influence_BM of M training examples on B others, and self_M. The network is in evaluation mode.

    Memory: B gradients, and a chunk of the training examples'. Raises `CapabilityError` where that is too
    much, nothing is trainable, or the network has a layer with neither a rule nor a batching rule.
    """
    size = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    if not size:
        raise CapabilityError(
            "all parameters of this model are frozen, so none has a gradient",
            remedy="set `parameters: last_layer`, which needs none",
        )
    if 4 * size * len(x_B) > _MOST_BYTES:
        raise CapabilityError(
            f"gradients of {len(x_B)} examples by {size:,} parameters need more than 1 GiB",
            remedy="set `parameters: last_layer`, or fewer `examples`",
        )
    reasons = []
    for chunks in (_by_rules, _by_vmap):
        try:
            return _products(chunks(network), x_M, y_M, x_B, y_B)
        except (NotImplementedError, RuntimeError) as error:
            reasons.append(str(error).splitlines()[0])
    raise CapabilityError(
        f"no per-example gradients of this model ({'; '.join(reasons)})",
        remedy="set `parameters: last_layer`",
    )


def _products(chunks: Chunks, x_M: Tensor, y_M: Tensor, x_B: Tensor, y_B: Tensor) -> tuple[Tensor, Tensor]:
    import torch

    asked = [{name: _Factors.of(part) for name, part in parts.items()} for parts in chunks(x_B, y_B)]
    influence, lengths = [], []
    for parts in chunks(x_M, y_M):
        learnt = {name: _Factors.of(part) for name, part in parts.items()}
        lengths.append(torch.stack([part.squared_norms() for part in parts.values()]).sum(0))
        rows = [
            torch.stack([ours[name].dot(learnt[name]) for name in sorted(ours.keys() & learnt.keys())]).sum(0)
            for ours in asked
        ]
        influence.append(torch.cat(rows))
    return torch.cat(influence, dim=1), torch.cat(lengths)


@dataclass(frozen=True, slots=True)
class _Factors:
    """A parameter's gradients of B examples: gradient_BP, or two factors, left_BO and right_BD."""

    left: Tensor
    right: Tensor | None = None

    @classmethod
    def of(cls, part: Part) -> _Factors:
        import torch

        from raiaudit.models.training.layer_rules import Explicit, Ghost

        if isinstance(part, Ghost):
            if part.rows_BTD.shape[1] == 1:
                return cls(part.out_BTO[:, 0], part.rows_BTD[:, 0])
            return cls(torch.bmm(part.out_BTO.mT, part.rows_BTD).flatten(1))
        if isinstance(part, Explicit):
            return cls(part.gradient.flatten(1))
        raise NotImplementedError(f"gradients held as {type(part).__name__} have no products")

    def dot(self, other: _Factors) -> Tensor:
        """Products of B gradients with M others, B×M."""
        products = self._whole(other) @ other._whole(self).T
        if self.right is None or other.right is None:
            return products
        return products * (self.right @ other.right.T)

    def _whole(self, other: _Factors) -> Tensor:
        """The gradient formed, unless both sides have factors."""
        if self.right is None or other.right is not None:
            return self.left
        return (self.left[:, :, None] * self.right[:, None]).flatten(1)


def _by_rules(network: nn.Module) -> Chunks:
    import torch

    from raiaudit.models.training.hooks import BookKeeping

    swapped = _quicker_swapped(network)
    mode = BookKeeping(_channels_last(network) if swapped else network, label_smoothing=0.0)

    def chunks(x_B: Tensor, y_B: Tensor) -> Iterator[Mapping[str, Part]]:
        for x, y in zip(torch.split(x_B, _CHUNK), torch.split(y_B, _CHUNK), strict=True):
            if swapped and x.ndim == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            yield from mode.parts(x[:, None], y)

    return chunks


def _quicker_swapped(network: nn.Module) -> bool:
    """Whether channels-last order pays: for plain convolutions, but not through a GroupNorm's backward."""
    from torch import nn

    kinds = {type(module) for module in network.modules()}
    convolutions = {kind for kind in kinds if issubclass(kind, nn.Conv2d)}
    return convolutions == {nn.Conv2d} and not any(issubclass(kind, nn.GroupNorm) for kind in kinds)


def _channels_last(network: nn.Module) -> nn.Module:
    import torch

    from raiaudit.audit.explanations.copies import copied

    swapped = copied(network)
    for parameter in swapped.parameters():
        if parameter.ndim == 4:  # `Module.to` leaves those of one channel as they are
            parameter.data = parameter.data.clone(memory_format=torch.channels_last)
    return swapped


def _by_vmap(network: nn.Module) -> Chunks:
    import torch

    from raiaudit.models.training.layer_rules import Explicit
    from raiaudit.models.training.per_example import Vmap

    mode = Vmap(network, label_smoothing=0.0)

    def chunks(x_B: Tensor, y_B: Tensor) -> Iterator[Mapping[str, Part]]:
        for x, y in zip(torch.split(x_B, mode.chunk), torch.split(y_B, mode.chunk), strict=True):
            gradients, _ = mode.gradients(x[:, None], y)
            yield {name: Explicit(gradient) for name, gradient in gradients.items()}

    return chunks
