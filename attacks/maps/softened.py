"""A network with softplus for ReLU while its map is differentiated.

A network of ReLUs is linear in pieces: its gradient does not change within a piece, so the derivative of a
gradient map is zero almost everywhere and an attack on the map finds no way. With softplus
log(1 + exp(βx)) / β in their place (A.-K. Dombrowski et al., arXiv:1906.07983) the map bends, and as β → ∞
the network is the original. Only the attack's gradient is taken here; what it finds is judged on the model
itself.

The replacement happens where a ReLU is called, so that the model is neither copied nor changed. Other kinks
(max-pooling, leaky ReLU) stay as they are. Attention is computed by the one kernel with second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

__all__ = ["softened"]

_RELUS: frozenset[Callable[..., Any]] = frozenset(
    {functional.relu, functional.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
)


class _Softplus(TorchFunctionMode):
    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _RELUS:
            x = args[0] if args else (kwargs or {})["input"]
            return functional.softplus(x, beta=self.beta)
        return func(*args, **(kwargs or {}))


@contextmanager
def softened(beta: float) -> Iterator[None]:
    """Every ReLU called in here is a softplus of this β."""
    with sdpa_kernel(SDPBackend.MATH), _Softplus(beta):
        yield
