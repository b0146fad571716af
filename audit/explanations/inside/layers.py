"""The layers of a network whose channels can be looked at, and what they give.

Shapes: a layer gives B×C×H×W (channels first), B×L×D (tokens; D are its channels) or B×D; pooled_BC is
its mean over places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["captured", "default_layer", "layers_seen", "pooled"]


def layers_seen(network: nn.Module, ask: Callable[[], object]) -> dict[str, int]:
    """The layers that give B×C×H×W, B×L×D or B×D when the network is asked: dimensions by name."""
    import torch

    seen: dict[str, int] = {}

    def noting(name: str) -> Callable[..., None]:
        def note(_module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
            first = output[0] if isinstance(output, tuple) and output else output
            if 2 <= getattr(first, "ndim", 0) <= 4:
                seen[name] = first.ndim  # type: ignore[union-attr]  # what has dimensions is a tensor

        return note

    named = network.named_modules(remove_duplicate=False)
    handles = [module.register_forward_hook(noting(name)) for name, module in named if name]
    try:
        with torch.no_grad():
            ask()
    finally:
        for handle in handles:
            handle.remove()
    return seen


def default_layer(network: nn.Module, seen: Mapping[str, int]) -> str | None:
    """Of the layers `seen` in a pass the last convolution, else the last transformer block, else None.

    A convolution that only cuts an image into patches, before all blocks, does not count.
    """
    from torch import nn
    from torch.nn.utils.parametrize import ParametrizationList

    from raiaudit.models.architectures.attention import Block

    blocks = [name for name, module in network.named_modules() if isinstance(module, Block)]
    convolution, last_of_list = None, None
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and name in seen:
            convolution, last_of_list = name, None
        elif isinstance(module, nn.ModuleList) and not isinstance(module, ParametrizationList):
            parts = [f"{name}.{at}" for at in range(len(module))]
            spatial = [part for part in parts if seen.get(part, 0) > 2]
            last_of_list = spatial[-1] if spatial else last_of_list
    if convolution is None:
        return blocks[-1] if blocks else None
    return last_of_list or convolution


@contextmanager
def captured(layer: nn.Module) -> Iterator[list[Tensor]]:
    """What the layer gives, call by call: the last of a pass is what counts."""
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
