"""Layers by the names a network gives them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from raiaudit.errors import UnknownNameError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["named_layer"]


def named_layer(
    network: nn.Module, name: str, *, besides: Iterable[str] = (), where: str | None = None
) -> nn.Module:
    """The module called so. Raises `UnknownNameError`, which offers the names `besides` too."""
    layers: dict[str, nn.Module] = dict(network.named_modules(remove_duplicate=False))
    layers.pop("")
    if name not in layers:
        raise UnknownNameError("layer", name, [*besides, *layers], where=where)
    return layers[name]
