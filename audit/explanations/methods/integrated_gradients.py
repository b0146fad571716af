"""Integrated gradients (Sundararajan et al., arXiv:1703.01365) on Gauss–Legendre nodes.

a_i = (x_i − b_i) ∫₀¹ ∂f/∂x_i (b + α(x − b)) dα. The quadrature weights enter the scalar that is
differentiated, so one backward pass sums over nodes and nothing of size nodes × inputs is kept.

Completeness (Σ a_i = f(x) − f(b)) holds on every stretch of the path too, so its residual says where the
quadrature fails: the stretch with the largest residual is halved until the whole map adds up. Networks that
normalise are nearly singular at a constant baseline, and all the nodes that they need lie there.

How much a residual is worth is judged by the map that people see, where elements of a feature (channels of a
pixel, the width of a token) are summed: before that they cancel, and would make it look smaller.

Shapes: x B×… floats, target_B int64 class, attribution B×… in the units of f (logits); F features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from raiaudit.audit.explanations.methods.method import share_unaccounted

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Attributions", "LogitsOfRows", "Summed", "integrated_gradients"]

LogitsOfRows = Callable[["Tensor", "Tensor"], "Tensor"]
"""(points R×…, rows_R: which example of the batch each point belongs to) → logits_RK."""

Summed = Callable[["Tensor"], "Tensor"]
"""values B×… → float64 sums over the elements of each feature, B×F."""

_FIRST_NODES = 16
_NODES_OF_A_HALF = 4


@dataclass(frozen=True, slots=True)
class Attributions:
    """`values` B×…; `error_B` = |Σ a − (f(x) − f(b))| / Σ|a|, a summed by feature: the share of the map that
    is unaccounted for; `nodes_B` how many gradients were taken.
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
    summed: Summed | None = None,
    tolerance: float = 0.01,
    max_nodes: int = 256,
    chunk: int = 256,
) -> Attributions:
    """Attributions of the target's logit; `chunk` points go through the model at once.

    `baseline` has the shape of `x`; `summed` says what the features are (default: every element is one). An
    example whose error stays above `tolerance` when `max_nodes` are spent keeps its last map, and its error
    says so.
    """
    import torch

    parts = [
        _refined(logits, x, baseline, rows, target_B, summed or _elements, tolerance, max_nodes, chunk)
        for rows in torch.split(torch.arange(len(x), device=x.device), max(1, chunk // 4))
    ]
    values, error_B, nodes_B = (torch.cat(part) for part in zip(*parts, strict=True))
    return Attributions(values, error_B, nodes_B)


@dataclass(slots=True)
class _Stretch:
    """Of one example's path: from `low` to `high`, f there, what it adds to the map, and the residual."""

    low: float
    high: float
    f_low: float
    f_high: float
    values: Tensor
    residual: float


def _refined(
    logits: LogitsOfRows,
    x: Tensor,
    baseline: Tensor,
    rows_R: Tensor,
    target_B: Tensor,
    summed: Summed,
    tolerance: float,
    max_nodes: int,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Map, error and nodes of some examples; their stretches are held until all are done."""
    import torch

    def measured(rows: Tensor, ends: list[tuple[float, float, float, float]], nodes: int) -> list[_Stretch]:
        """One stretch (low, high, f_low, f_high) for each of `rows`."""
        found = []
        at = x.new_tensor([end[:2] for end in ends]).view(-1, 2, *(1,) * (x.dim() - 1))
        step = max(1, chunk // nodes)
        for part, part_at, part_ends in zip(
            torch.split(rows, step),
            torch.split(at, step),
            [ends[start : start + step] for start in range(0, len(ends), step)],
            strict=True,
        ):
            way = x[part] - baseline[part]
            low, high = baseline[part] + part_at[:, 0] * way, baseline[part] + part_at[:, 1] * way
            values = (high - low) * _mean_gradient(logits, high, low, part, target_B[part], nodes, chunk)
            sums = values.flatten(1).double().sum(1).tolist()
            found += [
                _Stretch(*end, value, total - (end[3] - end[2]))
                for end, value, total in zip(part_ends, values, sums, strict=True)
            ]
        return found

    f_low = _target_logit(logits, baseline[rows_R], rows_R, target_B[rows_R], chunk)
    f_high = _target_logit(logits, x[rows_R], rows_R, target_B[rows_R], chunk)
    first = min(_FIRST_NODES, max_nodes)
    ends = [(0.0, 1.0, low, high) for low, high in zip(f_low, f_high, strict=True)]
    paths = [[stretch] for stretch in measured(rows_R, ends, first)]
    nodes_R = [first] * len(paths)
    totals = [path[0].values for path in paths]
    gaps = [high - low for low, high in zip(f_low, f_high, strict=True)]
    errors = _errors(summed, totals, gaps)
    pending = list(range(len(paths)))
    while pending := [
        place
        for place in pending
        if errors[place] > tolerance and nodes_R[place] + 2 * _NODES_OF_A_HALF <= max_nodes
    ]:
        worst = [max(paths[place], key=lambda stretch: abs(stretch.residual)) for place in pending]
        rows = rows_R[pending]
        middle = [(stretch.low + stretch.high) / 2 for stretch in worst]
        share = x.new_tensor(middle).view(-1, *(1,) * (x.dim() - 1))
        f_middle = _target_logit(
            logits, baseline[rows] + share * (x[rows] - baseline[rows]), rows, target_B[rows], chunk
        )
        ends = [
            end
            for stretch, at, f_at in zip(worst, middle, f_middle, strict=True)
            for end in (
                (stretch.low, at, stretch.f_low, f_at),
                (at, stretch.high, f_at, stretch.f_high),
            )
        ]
        halves = measured(rows.repeat_interleave(2), ends, _NODES_OF_A_HALF)
        for number, (place, stretch) in enumerate(zip(pending, worst, strict=True)):
            both = halves[2 * number : 2 * number + 2]
            paths[place] = [other for other in paths[place] if other is not stretch] + both
            totals[place] = torch.stack([other.values for other in paths[place]]).sum(0)
            nodes_R[place] += 2 * _NODES_OF_A_HALF
        still = _errors(summed, [totals[place] for place in pending], [gaps[place] for place in pending])
        for place, error in zip(pending, still, strict=True):
            errors[place] = error
    return (
        torch.stack(totals),
        torch.tensor(errors, dtype=torch.float64, device=x.device),
        torch.tensor(nodes_R, device=x.device),
    )


def _elements(values: Tensor) -> Tensor:
    return values.flatten(1).double()


def _errors(summed: Summed, totals: list[Tensor], gaps: list[float]) -> list[float]:
    import torch

    map_BF = summed(torch.stack(totals))
    found: list[float] = share_unaccounted(map_BF, map_BF.new_tensor(gaps)).tolist()
    return found


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


def _target_logit(
    logits: LogitsOfRows, x: Tensor, rows_R: Tensor, target_R: Tensor, chunk: int
) -> list[float]:
    import torch

    found: list[float] = []
    with torch.no_grad():
        for points, rows, target in zip(
            torch.split(x, chunk), torch.split(rows_R, chunk), torch.split(target_R, chunk), strict=True
        ):
            found += logits(points, rows).gather(1, target[:, None])[:, 0].double().tolist()
    return found
