"""Attention heads: what each looks at, and what is lost without it.

A head is ablated by replacing what it hands on, by zero or by its mean over reference examples (Michel, Levy,
Neubig 2019, arXiv:1905.10650): the mean leaves what the head says of every input alike, so that only what it
tells inputs apart by is lost. Padding takes no part in a mean.

Shapes: B examples, L tokens, H heads of width E, D = H·E; weights_BHLL as `Attention.weights` has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from raiaudit.models.architectures.attention import Attention

__all__ = ["Looks", "ablated", "attentions", "looks", "mean_outputs"]


def attentions(network: nn.Module) -> list[Attention]:
    """The attention layers, first to last."""
    from raiaudit.models.architectures.attention import Attention

    return [module for module in network.modules() if isinstance(module, Attention)]


@contextmanager
def ablated(attention: Attention, head: int, replacement_E: Tensor) -> Iterator[None]:
    """The head hands on the same vector for every token."""
    width = attention.out.in_features // attention.heads
    place = slice(head * width, (head + 1) * width)

    def replace(_module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        mixed_BLD = inputs[0].clone()
        mixed_BLD[..., place] = replacement_E
        return (mixed_BLD,)

    handle = attention.out.register_forward_pre_hook(replace)
    try:
        yield
    finally:
        handle.remove()


def mean_outputs(network: nn.Module, batch: Tensor) -> list[Tensor]:
    """What each layer's heads hand on, in the mean over the tokens of a batch: one mean_D a layer."""
    import torch

    layers = attentions(network)
    masks: list[Tensor | None] = []
    means: list[Tensor] = []

    def masked(_module: nn.Module, inputs: tuple[Tensor | None, ...]) -> None:
        masks.append(inputs[1] if len(inputs) > 1 else None)

    def mean(_module: nn.Module, inputs: tuple[Tensor]) -> None:
        mask_BL = masks[-1]
        mixed = inputs[0].flatten(0, 1) if mask_BL is None else inputs[0][mask_BL]
        means.append(mixed.mean(0))

    handles = [layer.register_forward_pre_hook(masked) for layer in layers]
    handles += [layer.out.register_forward_pre_hook(mean) for layer in layers]
    try:
        with torch.no_grad():
            network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return means


@dataclass(frozen=True, slots=True)
class Looks:
    """`received_BAHL`: how much the classifier's reader looks at each token, in every layer A and head H.

    The reader is the class token where there is one, else all tokens in the mean. `entropy_BAH` of the same
    rows, as a share of the largest possible: 0 looks at one token, 1 at all alike.
    """

    received_BAHL: Tensor
    entropy_BAH: Tensor


def looks(network: nn.Module, batch: Tensor) -> Looks:
    """Of every head, for one batch."""
    import torch

    from raiaudit.models.architectures.attention import Attention, ClassToken

    received: list[Tensor] = []
    entropy: list[Tensor] = []
    has_class_token = any(isinstance(module, ClassToken) for module in network.modules())

    def look(module: nn.Module, inputs: tuple[Tensor | None, ...]) -> None:
        assert isinstance(module, Attention)
        x_BLD, mask_BL = inputs[0], inputs[1] if len(inputs) > 1 else None
        assert x_BLD is not None
        weights_BHLL = module.weights(x_BLD, mask_BL)
        present_BL = torch.ones(x_BLD.shape[:2], dtype=torch.bool, device=x_BLD.device)
        present_BL = present_BL if mask_BL is None else mask_BL
        reading_BL = present_BL.clone().to(weights_BHLL.dtype)
        if has_class_token:
            reading_BL[:, 1:] = 0
        reading_BL = reading_BL / reading_BL.sum(1, keepdim=True)
        # log 1 = 0 for a single token: nothing to choose from, so its entropy counts as 0.
        most_B = present_BL.sum(1).clamp_min(2).to(weights_BHLL.dtype).log()
        rows_BHL = torch.special.entr(weights_BHLL).sum(-1)
        received.append(torch.einsum("bhqk,bq->bhk", weights_BHLL, reading_BL))
        entropy.append((rows_BHL * reading_BL[:, None]).sum(-1) / most_B[:, None])

    handles = [layer.register_forward_pre_hook(look) for layer in attentions(network)]
    try:
        with torch.no_grad():
            network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return Looks(torch.stack(received, 1), torch.stack(entropy, 1))
