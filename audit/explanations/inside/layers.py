"""The layers of a network whose channels can be looked at, and what they give.

Shapes: a layer gives B×C×H×W (channels first), B×L×D (tokens; D are its channels) or B×D; pooled_BC is
its mean over places.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["captured", "default_layer", "pooled"]


def default_layer(network: nn.Module) -> str | None:
    """The last convolution, else the last transformer block, else None.

    A convolution that only cuts an image into patches, before all blocks, does not count.
    """
    from torch import nn

    from raiaudit.models.architectures.attention import Block

    blocks = [name for name, module in network.named_modules() if isinstance(module, Block)]
    convolution, last_of_list = None, None
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            convolution, last_of_list = name, None
        elif isinstance(module, nn.ModuleList) and len(module):
            last_of_list = f"{name}.{len(module) - 1}"
    if convolution is None:
        return blocks[-1] if blocks else None
    return last_of_list or convolution


@contextmanager
def captured(layer: nn.Module) -> Iterator[list[Tensor]]:
    """What the layer gives in each forward pass inside."""
    given: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        given.append(output[0] if isinstance(output, tuple) else output)

    handle = layer.register_forward_hook(keep)
    try:
        yield given
    finally:
        handle.remove()


def pooled(activation: Tensor) -> Tensor:
    """The mean of each channel over all places, pooled_BC."""
    if activation.dim() == 4:
        return activation.mean((2, 3))
    return activation.mean(1) if activation.dim() == 3 else activation
