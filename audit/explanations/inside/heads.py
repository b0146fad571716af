"""Attention heads: what each looks at, and what is lost without it.

A head is ablated by replacing what it hands on, by zero or by its mean over reference examples (Michel, Levy,
Neubig 2019, arXiv:1905.10650): the mean leaves what the head says of every input alike, so that only what it
tells inputs apart by is lost. Padding takes no part in a mean.

Shapes: B examples, L tokens, A layers, H heads of width E; weights_BHLL and mixed_BLHE as in
`models.attention_calls`; present_BL true where there is a token (None: everywhere).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raiaudit.models.attention_calls import attending, layout_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.attention_calls import Layout

__all__ = ["Looks", "ablated", "head_layout", "looks", "mean_outputs", "tokens_of"]


def tokens_of(network: nn.Module, batch: Tensor) -> Tensor | None:
    """Where a text has tokens, present_BL; None for images and tables, which have no padding."""
    from raiaudit.models.architectures.text_classifier import TextClassifier

    return batch != network.padding if isinstance(network, TextClassifier) else None


def head_layout(network: Classifier, batch: Tensor) -> Layout:
    """What heads there are, found on a few examples. Raises `CapabilityError` where none can be seen."""
    return layout_of(network, lambda: network(batch), tokens_of(network, batch))


@contextmanager
def ablated(network: nn.Module, layer: int, head: int, replacement_E: Tensor) -> Iterator[None]:
    """The head hands on the same vector for every token."""

    def see(at: int, _weights: Tensor, mixed_BLHE: Tensor) -> Tensor:
        if at != layer:
            return mixed_BLHE
        without = mixed_BLHE.clone()
        without[:, :, head] = replacement_E
        return without

    with attending(network, see):
        yield


def mean_outputs(network: nn.Module, batch: Tensor) -> list[Tensor]:
    """What each layer's heads hand on, in the mean over the tokens of a batch: one mean_HE a layer."""
    import torch

    present_BL = tokens_of(network, batch)
    means: list[Tensor] = []

    def see(_layer: int, _weights: Tensor, mixed_BLHE: Tensor) -> Tensor:
        there = mixed_BLHE.flatten(0, 1) if present_BL is None else mixed_BLHE[present_BL]
        means.append(there.mean(0))
        return mixed_BLHE

    with torch.no_grad(), attending(network, see):
        network(batch)
    return means


@dataclass(frozen=True, slots=True)
class Looks:
    """`received_BAHL`: how much the classifier's reader looks at each token, in every layer A and head H.

    The reader is what the layout says: the class token where there is one, or all tokens in the mean.
    `entropy_BAH` of the same rows, as a share of the largest possible: 0 looks at one token, 1 at all alike.
    """

    received_BAHL: Tensor
    entropy_BAH: Tensor


def looks(network: nn.Module, batch: Tensor, layout: Layout) -> Looks:
    """Of every head, for one batch."""
    import torch

    present_BL = tokens_of(network, batch)
    received: list[Tensor] = []
    entropy: list[Tensor] = []

    def see(_layer: int, weights_BHLL: Tensor, mixed_BLHE: Tensor) -> Tensor:
        there_BL = weights_BHLL.new_ones(mixed_BLHE.shape[:2], dtype=torch.bool)
        there_BL = there_BL if present_BL is None else present_BL
        reading_BL = layout.reading(there_BL).to(weights_BHLL.dtype)
        # log 1 = 0 for a single token: nothing to choose from, so its entropy counts as 0.
        most_B = there_BL.sum(1).clamp_min(2).to(weights_BHLL.dtype).log()
        rows_BHL = torch.special.entr(weights_BHLL).sum(-1)
        received.append(torch.einsum("bhqk,bq->bhk", weights_BHLL, reading_BL))
        entropy.append((rows_BHL * reading_BL[:, None]).sum(-1) / most_B[:, None])
        return mixed_BLHE

    with torch.no_grad(), attending(network, see):
        network(batch)
    return Looks(torch.stack(received, 1), torch.stack(entropy, 1))
