"""Looking on while a network attends: one way for transformers of ours and those of `transformers`.

Inside `attending(network, see)` every attention layer, in the order in which layers are called, hands its
map and its heads' outputs to `see`, and hands on what `see` returns. `layout_of` says what there is to see.

Shapes: B examples, L tokens, H heads of width E; weights_BHLL (row: the token that looks, column: the token
looked at), mixed_BLHE. Errors: `CapabilityError` for a network whose attention cannot be seen, or is none
between all tokens of an input (windows).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["NO_TRANSFORMER", "Layout", "Reader", "See", "attending", "layout_of"]

See = Callable[[int, "Tensor", "Tensor"], "Tensor"]
"""layer, weights_BHLL, mixed_BLHE → what is handed on in place of mixed_BLHE."""

Reader = Literal["first", "all", "rest"]

NO_TRANSFORMER = "this model is no transformer whose attention can be seen"

_REMEDY = "choose integrated_gradients, which asks for no attention"


@dataclass(frozen=True, slots=True)
class Layout:
    """`reads`: which tokens the classifier reads after the last layer: the first, all, or all but the first.

    (One that reads the first and the mean of the others counts as reading all.)
    """

    layers: int
    heads: int
    reads: Reader

    def reading(self, present_BL: Tensor) -> Tensor:
        """The share that each token has in what is read, reading_BL; rows sum to 1."""
        reading_BL = present_BL.clone()
        if self.reads == "first":
            reading_BL[:, 1:] = False
        elif self.reads == "rest":
            reading_BL[:, 0] = False
        return reading_BL / reading_BL.sum(1, keepdim=True).clamp(min=1)


@contextmanager
def attending(network: nn.Module, see: See) -> Iterator[None]:
    """Show every layer's attention to `see` in each forward pass inside."""
    from raiaudit.models.architectures.attention import Attention

    own = [module for module in network.modules() if isinstance(module, Attention)]
    if not own and _is_theirs(network):
        from raiaudit.models.outside.huggingface_attention import attending_theirs

        with attending_theirs(network, see):
            yield
        return
    try:
        for layer, module in enumerate(own):
            module.seen_by = partial(see, layer)
        yield
    finally:
        for module in own:
            module.seen_by = None


def layout_of(network: nn.Module, ask: Callable[[], Tensor], present_BL: Tensor | None = None) -> Layout:
    """What the network has. Raises `CapabilityError`.

    `ask` gets its logits_BK for a few examples, `present_BL` says where these have tokens (None: everywhere).
    """
    from raiaudit.models.architectures.attention import Attention, ClassToken

    own = [module for module in network.modules() if isinstance(module, Attention)]
    if own:
        has_class_token = any(isinstance(module, ClassToken) for module in network.modules())
        return Layout(len(own), own[0].heads, "first" if has_class_token else "all")
    if not _is_theirs(network):
        raise CapabilityError(NO_TRANSFORMER, remedy=_REMEDY)
    return _found(network, ask, present_BL)


def _is_theirs(network: nn.Module) -> bool:
    return any(type(module).__module__.startswith("transformers.") for module in network.modules())


def _found(network: nn.Module, ask: Callable[[], Tensor], present_BL: Tensor | None) -> Layout:
    """By looking on. A token is read if the answer has a gradient with respect to it after the last layer.

    Nothing but attention lets tokens learn of one another, so all others have none, exactly.
    """
    import torch

    shapes: list[torch.Size] = []
    mixed: list[Tensor] = []

    def see(_layer: int, weights_BHLL: Tensor, mixed_BLHE: Tensor) -> Tensor:
        shapes.append(weights_BHLL.shape)
        mixed.append(mixed_BLHE.detach().requires_grad_())
        return mixed[-1]

    with torch.enable_grad(), attending(network, see):
        logits_BK = ask()
        if not shapes:
            raise CapabilityError(
                "this model has no attention, or its library computes it out of sight", remedy=_REMEDY
            )
        examples, heads, looking, looked_at = shapes[0]
        if set(shapes) != {shapes[0]} or len(logits_BK) != examples or looked_at != looking:
            raise CapabilityError(
                "its layers attend within windows, or to other numbers of tokens", remedy=_REMEDY
            )
        # Odd weights, so that classes do not cancel.
        weight_K = torch.arange(1, logits_BK.shape[1] + 1, device=logits_BK.device) ** 0.5
        (gradient,) = torch.autograd.grad((logits_BK * weight_K).sum(), mixed[-1])
    read_BL = (gradient != 0).flatten(2).any(2)
    present_BL = torch.ones_like(read_BL) if present_BL is None else present_BL
    layout = partial(Layout, len(shapes), heads)
    readers: tuple[Reader, ...] = ("first", "all", "rest")
    for reads in readers:
        if torch.equal(layout(reads).reading(present_BL) > 0, read_BL):
            return layout(reads)
    raise CapabilityError("its classifier reads neither the first token nor all of them", remedy=_REMEDY)
