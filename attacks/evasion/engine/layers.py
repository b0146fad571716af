"""Pooling layers that the library computes slowly on a CPU, computed quickly: the same answers.

In a small network the library's pooling takes longer than the convolutions before it. The largest value of
windows that lie side by side is that of their rows, then of their columns, which vectorises; an average over
uneven windows is a product with a fixed matrix. `rewritten` gives the quicker forward of a module, or None.

Where values of a window tie, the gradient goes to the first of their columns; the library's to the first of
their rows.

Shapes: x images B×C×H×W. Legend: P pixels, Q pixels of the output.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["rewritten"]

Forward = Callable[[Tensor], Tensor]


def rewritten(module: nn.Module, x: Tensor) -> Forward | None:
    """The quicker forward of a module that was given images like x."""
    if x.dim() != 4:
        return None
    if isinstance(module, nn.MaxPool2d) and (side := _side(module)):
        return partial(_max_pool, side=side)
    if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size not in (1, (1, 1)):
        return partial(_as_product, *_averages(module, x))
    return None


def _side(pool: nn.MaxPool2d) -> int:
    """The side of windows that are squares side by side; 0 for any others."""
    sides = {*_pair(pool.kernel_size), *_pair(pool.stride)}
    plain = _pair(pool.padding) == (0, 0) and _pair(pool.dilation) == (1, 1) and not pool.ceil_mode
    return sides.pop() if len(sides) == 1 and plain and not pool.return_indices else 0


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _max_pool(x: Tensor, *, side: int) -> Tensor:
    wanted = x.requires_grad and torch.is_grad_enabled()
    if wanted and not x.is_contiguous():  # in channels-last order the library's is quick, and so its gradient
        return functional.max_pool2d(x, side)
    for dim in (2, 3):
        whole = x.narrow(dim, 0, x.shape[dim] // side * side) if x.shape[dim] % side else x
        x = _Largest.apply(whole, dim, side)  # type: ignore[no-untyped-call]  # torch's own is untyped
    return x


class _Largest(torch.autograd.Function):
    """The largest of each `side` neighbours along a dimension."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int, side: int) -> Tensor:
        """Neighbour by neighbour."""
        largest: Tensor
        largest, *others = torch.unflatten(x, dim, (-1, side)).unbind(dim + 1)
        for other in others:
            largest = torch.maximum(largest, other)
        ctx.dim, ctx.side = dim, side
        ctx.save_for_backward(x, largest)
        return largest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """To the first neighbour that is the largest."""
        x, largest = ctx.saved_tensors
        (rest,) = gradients
        parts = []
        for neighbour in torch.unflatten(x, ctx.dim, (-1, ctx.side)).unbind(ctx.dim + 1)[:-1]:
            parts.append(rest * (neighbour == largest))
            rest = rest - parts[-1]
        return torch.stack([*parts, rest], ctx.dim + 1).flatten(ctx.dim, ctx.dim + 1), None, None


def _averages(pool: nn.AdaptiveAvgPool2d, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """The average over windows as a matrix, P×Q, and the height and width of what comes out."""
    height, width = x.shape[2:]
    pixels = torch.eye(height * width, dtype=x.dtype, device=x.device).view(-1, 1, height, width)
    windows = functional.adaptive_avg_pool2d(pixels, pool.output_size)
    return windows.flatten(1), (windows.shape[2], windows.shape[3])


def _as_product(matrix_PQ: Tensor, shape: tuple[int, int], x: Tensor) -> Tensor:
    return torch.matmul(x.flatten(2), matrix_PQ).view(*x.shape[:2], *shape)
