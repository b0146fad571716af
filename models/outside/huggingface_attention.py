"""Attention of networks of `transformers`, seen as it is computed.

The library lets an attention function be registered by name, and every layer that knows of the names asks
the one that its configuration holds. Ours calls the "eager" function of the layer's own file, shows what it
gives, and is named in the configurations only as long as someone looks on.

Shapes: weights_BHLL, mixed_BLHE as in `models.attention_calls`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from raiaudit.models.attention_calls import See

__all__ = ["attending_theirs"]

_NAME = "raiaudit_seen"

_onlookers: dict[int, Callable[[Tensor, Tensor], Tensor]] = {}
"""By the id of the configuration that a layer holds."""


@contextmanager
def attending_theirs(network: nn.Module, see: See) -> Iterator[None]:
    """Show every layer's attention to `see`; layers are numbered as they are called in one forward pass."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    AttentionInterface.register(_NAME, _seen)
    AttentionMaskInterface.register(_NAME, eager_mask)
    called = 0

    def start(_module: nn.Module, _inputs: object) -> None:
        nonlocal called
        called = 0

    def onlooker(weights_BHLL: Tensor, mixed_BLHE: Tensor) -> Tensor:
        nonlocal called
        called += 1
        return see(called - 1, weights_BHLL, mixed_BLHE)

    theirs = {module: _config(module) for module in network.modules() if _config(module) is not None}
    configs = {id(config): config for config in theirs.values()}
    before = {key: config._attn_implementation for key, config in configs.items()}
    handle = next(iter(theirs)).register_forward_pre_hook(start)
    try:
        for key, config in configs.items():
            config._attn_implementation = _NAME
            _onlookers[key] = onlooker
        yield
    finally:
        handle.remove()
        for key, config in configs.items():
            config._attn_implementation = before[key]
            del _onlookers[key]


def _config(module: nn.Module) -> Any:
    """The library's, or None: our own classifiers have a `config` too, a dict."""
    config: Any = getattr(module, "config", None)
    return config if hasattr(config, "_attn_implementation") else None


def _seen(module: Any, *tensors: Any, **options: Any) -> tuple[Tensor, Tensor]:
    """The layer's own eager attention; what it hands on is what the onlooker returns."""
    eager = sys.modules[type(module).__module__].eager_attention_forward
    mixed_BLHE, weights_BHLL = eager(module, *tensors, **options)
    return _onlookers[id(module.config)](weights_BHLL, mixed_BLHE), weights_BHLL
