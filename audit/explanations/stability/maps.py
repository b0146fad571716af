"""Maps that can be differentiated: what an attack on a map climbs.

The methods of the catalogue judge; these are their twins, in few operations and with a graph where one is
asked for. A method without a twin is attacked through the saliency map: a perturbation that moves the
gradient moves what is made of gradients (the transfer is a weaker attack, and the check says so).

Shapes: R points of the rows `rows_R` of a view, F features; scores_RF signed where the method is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from raiaudit.audit.explanations.methods.views import View

__all__ = ["InnerMap", "inner_map", "surrogate_of"]

InnerMap = Callable[["View", "Tensor", "Tensor", "Tensor", bool], "Tensor"]
"""(view, points R×… that require gradients, rows_R, target_R, whether to keep the graph) → scores_RF."""


def _gradient(view: View, point: Tensor, rows_R: Tensor, target_R: Tensor, graph: bool) -> Tensor:
    import torch

    chosen = view.logits(point, rows_R).gather(1, target_R[:, None]).sum()
    return torch.autograd.grad(chosen, point, create_graph=graph)[0]


def _saliency(view: View, x: Tensor, rows_R: Tensor, target_R: Tensor, graph: bool) -> Tensor:
    return view.largest(_gradient(view, x, rows_R, target_R, graph).abs())


def _input_x_gradient(view: View, x: Tensor, rows_R: Tensor, target_R: Tensor, graph: bool) -> Tensor:
    return view.by_feature((x - view.baseline[rows_R]) * _gradient(view, x, rows_R, target_R, graph))


def _integrated_gradients(
    view: View, x: Tensor, rows_R: Tensor, target_R: Tensor, graph: bool, *, nodes: int
) -> Tensor:
    import torch

    at, weights = np.polynomial.legendre.leggauss(nodes)
    alpha = x.new_tensor((at + 1) / 2).view(-1, *(1,) * x.dim())
    weight_A = x.new_tensor(weights / 2)
    step = x - view.baseline[rows_R]
    points = (view.baseline[rows_R] + alpha * step).flatten(0, 1)
    logits = view.logits(points, rows_R.repeat(nodes)).gather(1, target_R.repeat(nodes)[:, None])
    weighted = (weight_A[:, None] * logits.view(nodes, -1)).sum()
    (gradients,) = torch.autograd.grad(weighted, points, create_graph=graph)
    return view.by_feature(step * gradients.view(nodes, *x.shape).sum(0))


_TWINS = frozenset({"saliency", "input_x_gradient", "integrated_gradients"})


def surrogate_of(method: str) -> str:
    """Whose map is climbed to attack this method's: its own where that can be differentiated."""
    return method if method in _TWINS else "saliency"


def inner_map(method: str, *, nodes: int) -> InnerMap:
    """The twin of a method, or of its surrogate; `nodes` of integrated gradients."""
    twins: dict[str, InnerMap] = {
        "saliency": _saliency,
        "input_x_gradient": _input_x_gradient,
        "integrated_gradients": partial(_integrated_gradients, nodes=nodes),
    }
    return twins[surrogate_of(method)]
