"""Integrated gradients (Sundararajan et al., arXiv:1703.01365) on Gauss–Legendre nodes.

a_i = (x_i − b_i) ∫₀¹ ∂f/∂x_i (b + α(x − b)) dα. The quadrature weights enter the scalar that is
differentiated, so one backward pass sums over nodes and nothing of size nodes × inputs is kept.
Completeness (Σ a_i = f(x) − f(b)) is checked per example, and nodes are doubled where it fails.

Shapes: x B×… floats, target_B int64 class, attribution B×… in the units of f (logits).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Attributions", "LogitsOfRows", "integrated_gradients"]

LogitsOfRows = Callable[["Tensor", "Tensor"], "Tensor"]
"""(points R×…, rows_R: which example of the batch each point belongs to) → logits_RK."""

_FIRST_NODES = 16


@dataclass(frozen=True, slots=True)
class Attributions:
    """`values` B×…; `error_B` = |Σ a − (f(x) − f(b))| / Σ|a|: the share of the map that is unaccounted
    for; `nodes_B` how many nodes the last quadrature used.
    """

    values: Tensor
    error_B: Tensor
    nodes_B: Tensor


def integrated_gradients(
    logits: LogitsOfRows,
    x: Tensor,
    baseline: Tensor,
    target_B: Tensor,
    *,
    tolerance: float = 0.01,
    max_nodes: int = 256,
    chunk: int = 256,
) -> Attributions:
    """Attributions of the target's logit; `chunk` points go through the model at once.

    `baseline` has the shape of `x`. An example whose error stays above `tolerance` at `max_nodes` keeps
    its last map, and its error says so.
    """
    import torch

    everyone = torch.arange(len(x), device=x.device)
    gap_B = _target_logit(logits, x, everyone, target_B, chunk) - _target_logit(
        logits, baseline, everyone, target_B, chunk
    )
    values = torch.zeros_like(x)
    error_B = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    nodes_B = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    pending, nodes = everyone, min(_FIRST_NODES, max_nodes)
    while len(pending):
        for rows in torch.split(pending, max(1, chunk // nodes)):
            gradient = _mean_gradient(logits, x[rows], baseline[rows], rows, target_B[rows], nodes, chunk)
            values[rows] = (x[rows] - baseline[rows]) * gradient
        flat = values[pending].flatten(1).double()
        residual = (flat.sum(1) - gap_B[pending]).abs()
        mass = flat.abs().sum(1)
        # A map without mass explains a gap of zero perfectly, and any other gap not at all.
        error_B[pending] = torch.where(mass > 0, residual / mass, (residual > 0).double())
        nodes_B[pending] = nodes
        if nodes == max_nodes:
            break
        pending, nodes = pending[error_B[pending] > tolerance], min(2 * nodes, max_nodes)
    return Attributions(values, error_B, nodes_B)


@cache
def _quadrature(nodes: int) -> tuple[list[float], list[float]]:
    """Nodes and weights on [0, 1]."""
    at, weights = np.polynomial.legendre.leggauss(nodes)
    return ((at + 1) / 2).tolist(), (weights / 2).tolist()


def _mean_gradient(
    logits: LogitsOfRows,
    x: Tensor,
    baseline: Tensor,
    rows_R: Tensor,
    target_R: Tensor,
    nodes: int,
    chunk: int,
) -> Tensor:
    """∫ ∂f/∂x along the path, R×…."""
    import torch

    at, weights = _quadrature(nodes)
    total = torch.zeros_like(x)
    for start in range(0, nodes, chunk):
        alpha = x.new_tensor(at[start : start + chunk]).view(-1, *(1,) * x.dim())
        weight_A = x.new_tensor(weights[start : start + chunk])
        count = len(weight_A)
        # The gradient with respect to one shift shared by all nodes is the weighted sum of theirs.
        shift = torch.zeros_like(x, requires_grad=True)
        with torch.enable_grad():
            points = (baseline + alpha * (x - baseline) + shift).flatten(0, 1)
            scores = logits(points, rows_R.repeat(count))
            chosen_AR = scores.gather(1, target_R.repeat(count)[:, None]).view(count, -1)
            (gradient,) = torch.autograd.grad((weight_A[:, None] * chosen_AR).sum(), shift)
        total += gradient
    return total


def _target_logit(logits: LogitsOfRows, x: Tensor, rows_B: Tensor, target_B: Tensor, chunk: int) -> Tensor:
    import torch

    with torch.no_grad():
        parts = [
            logits(x[rows], rows).gather(1, target_B[rows, None])[:, 0].double()
            for rows in torch.split(rows_B, chunk)
        ]
    return torch.cat(parts)
