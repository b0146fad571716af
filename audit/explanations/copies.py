"""Copies of networks, whatever these keep of their last pass."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    Network = TypeVar("Network", bound=nn.Module)

__all__ = ["copied"]


def copied(network: Network) -> Network:
    """A deep copy. Tensors that a module keeps with the graph that made them (its attention, its features,
    a normalised weight) lose it: torch copies no graph, and the next pass replaces them.
    """
    kept = {
        id(tensor): tensor.detach().clone()
        for module in network.modules()
        for tensor in _graphs(vars(module))
    }
    return copy.deepcopy(network, kept)


def _graphs(value: object) -> Iterator[Tensor]:
    """Tensors with a graph, in containers of any depth."""
    import torch

    if isinstance(value, torch.Tensor):
        if value.grad_fn is not None:
            yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _graphs(part)
