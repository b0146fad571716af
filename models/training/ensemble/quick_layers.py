"""Dropout and attention as a pack computes them on a CPU: the same layers, in fewer and cheaper passes.

Torch draws a mask of dropout by `bernoulli_`, one number after the other. Here a mask takes 16 bits of a
64-bit draw for each element: the probability is p to the nearest 1/65,536, and what is kept is scaled by the
share that is really kept. Under vmap attention is torch's `math` form, which scales both factors and looks
for rows that are masked from end to end; without a mask there are none. On one core these take a fifth to a
quarter off a step of eight or sixteen FT-Transformers (`benchmarks/shadow_ensembles.py`).

A layer asked for in another way (with a mask, causal) is left to torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["QuickLayers", "attention", "dropout"]

_LEVELS = 2**16  # of one 16-bit draw
_DRAWS = 4  # of them in one of 64 bits
_INT64 = torch.iinfo(torch.int64)


class QuickLayers(TorchFunctionMode):
    """Within it `functional.dropout` and `functional.scaled_dot_product_attention` are those of this file."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called by torch for each of its functions."""
        quick = _QUICK.get(func)
        return (quick or func)(*args, **(kwargs or {}))


def dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """x with a share of about p set to 0 and the rest scaled up."""
    dropped = round(p * _LEVELS)
    if not training or not 0 < dropped < _LEVELS:
        return functional.dropout(x, p, training, inplace)
    count = x.numel()
    drawn = torch.randint(_INT64.min, _INT64.max, (-(-count // _DRAWS),), dtype=torch.int64, device=x.device)
    levels = drawn.view(torch.int16)[:count].view(x.shape)
    kept = (levels >= dropped - _LEVELS // 2).to(x.dtype)
    return x * kept.mul_(_LEVELS / (_LEVELS - dropped))


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    **others: Any,
) -> Tensor:
    """softmax(q·kᵀ/√E)·v, its weights with dropout."""
    if attn_mask is not None or others:
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=attn_mask, dropout_p=dropout_p, **others
        )
    scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2)
    return dropout(scores.softmax(-1), dropout_p) @ value


_QUICK: dict[Callable[..., Any], Callable[..., Tensor]] = {
    functional.dropout: dropout,
    functional.scaled_dot_product_attention: attention,
}
