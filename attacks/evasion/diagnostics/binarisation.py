"""The binarisation test of Zimmermann et al. (arXiv:2206.13991): does the attack find an error that is there?

For each example a binary problem is made whose answer is known: tell random points of a slightly smaller
ball from one at the border of the full one, by a linear readout of the model's own features. The latter is
an adversarial input within the ball by construction, so an attack that fails cannot be trusted where it
finds nothing either. The paper asks for 95 % success.

Simplifications, beside the paper: the readout is a linear discriminant in closed form in place of a logistic
regression; its threshold lies nine tenths of the way from the furthest inner point to the border; an example
whose points it does not separate is not tested. Features are what enters the last linear layer, or the
logits where there is none to be seen.
Shapes: x images B×C×H×W or vectors B×W; F features, P points.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from raiaudit.attacks import randomness
from raiaudit.attacks.evasion.base import LogitsOf, prepared
from raiaudit.attacks.evasion.diagnostics.outputs import class_count, with_gradient
from raiaudit.attacks.evasion.engine.region import Region, region_of
from raiaudit.attacks.evasion.images.pgd import PGD
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import ThreatModel

__all__ = ["POINTS", "binarisation"]

POINTS = 200
"""Inner points of each test."""

_INNER = 0.95  # of eps: the paper's eta
_CLOSENESS = 0.9
_SPREAD = 10.0  # of the binary logits between the middle of the ball and the border
_RIDGE = 1e-3


def binarisation(
    classifier: LogitsOf,
    x: Tensor,
    threat: ThreatModel,
    *,
    space: ImageBox,
    ids_B: Tensor,
    seed: int,
    steps: int,
) -> tuple[Tensor, Tensor]:
    """(tested_B, found_B), both bool: about `POINTS` + `steps` forwards for each example."""
    zeros_B = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    tested_B, found_B = zeros_B.bool(), zeros_B.bool()
    region = region_of(PGD(), x, zeros_B, threat, space)
    inner_region = replace(region, eps=_INNER * region.eps)
    with prepared(classifier), ExitStack() as stack:
        features = _features(classifier, x, stack)
        for row in range(len(x)):
            x0 = x[row : row + 1]
            clean = x0.expand(POINTS, *x0.shape[1:])
            ids, draws = ids_B[row].expand(POINTS), torch.arange(POINTS, device=x.device)
            inner = torch.cat([x0, inner_region.random(clean, ids, draws, seed=seed, stream="binarisation")])
            border = _at_the_border(region, x0, ids[:1], seed=seed)
            with torch.no_grad():
                readout = _readout(features(inner), features(border))
            if readout is None:
                continue
            tested_B[row] = True
            found_B[row] = PGD(steps=steps)(
                with_gradient(_composed(readout, features), x0),
                x0,
                zeros_B[:1],
                threat,
                space=space,
                seed=seed,
                ids=ids_B[row : row + 1],
            ).broken_B[0]
    return tested_B, found_B


def _at_the_border(region: Region, x0: Tensor, id_1: Tensor, *, seed: int) -> Tensor:
    """A uniform point of the ball, pushed outwards to its border and clipped to the box."""
    uniform = partial(randomness.uniform, id_1, x0.shape[1:], seed=seed, stream="binarisation/border/u")
    normal = partial(randomness.normal, id_1, x0.shape[1:], seed=seed, stream="binarisation/border/n")
    delta = region.ball.random(uniform, normal, region.eps)
    grown = delta * (region.eps / region.ball.distance(delta)).to(delta.dtype)
    return region.project(x0 + grown, x0)


def _composed(readout: Callable[[Tensor], Tensor], features: Callable[[Tensor], Tensor]) -> LogitsOf:
    return lambda inputs: readout(features(inputs))


def _readout(inner_PF: Tensor, border_1F: Tensor) -> Callable[[Tensor], Tensor] | None:
    """Features to two logits, the second larger only as far out as the border point, or nearly."""
    mean_F, spread_F = inner_PF.mean(0), inner_PF.std(0)
    alive_F = spread_F > 1e-6 * spread_F.max().clamp_min(torch.finfo(torch.float32).tiny)
    scale_F = torch.where(alive_F, 1 / spread_F.clamp_min(torch.finfo(torch.float32).tiny), 0.0)

    def standard(rows_PF: Tensor) -> Tensor:
        return (rows_PF - mean_F) * scale_F

    points_PF = standard(inner_PF).double()
    covariance_FF = points_PF.T @ points_PF / len(points_PF)
    ridge_FF = _RIDGE * torch.eye(len(mean_F), dtype=torch.float64, device=inner_PF.device)
    target_F = standard(border_1F)[0].double()
    weight_F = torch.linalg.solve(covariance_FF + ridge_FF, target_F).float()
    inner_P, reached = standard(inner_PF) @ weight_F, (standard(border_1F) @ weight_F)[0]
    furthest = inner_P.max()
    if not bool((reached > furthest) & reached.isfinite()):
        return None
    threshold = furthest + _CLOSENESS * (reached - furthest)
    # By the spread of all points: by the gap alone the cross-entropy would saturate where it is narrow.
    steepness = _SPREAD / (reached - inner_P.mean())

    def logits(rows_PF: Tensor) -> Tensor:
        score_P = (standard(rows_PF) @ weight_F - threshold) * steepness
        return torch.stack([-score_P / 2, score_P / 2], dim=1)

    return logits


def _features(classifier: LogitsOf, x: Tensor, stack: ExitStack) -> Callable[[Tensor], Tensor]:
    """What enters the last linear layer that the model calls; its outputs where there is no such layer."""
    calls: list[tuple[nn.Linear, Tensor]] = []

    def note(module: nn.Module, inputs: Any) -> None:
        assert isinstance(module, nn.Linear)
        calls.append((module, inputs[0]))

    for module in classifier.modules() if isinstance(classifier, nn.Module) else ():
        if isinstance(module, nn.Linear):
            stack.callback(module.register_forward_pre_hook(note).remove)
    classes = class_count(classifier, x)
    head = calls[-1][0] if calls and calls[-1][0].out_features == classes else None

    def ask(inputs: Tensor) -> Tensor:
        calls.clear()
        logits = classifier(inputs)
        inputs_of_head = [taken for module, taken in calls if module is head]
        return (inputs_of_head[-1] if inputs_of_head else logits).flatten(1).float()

    return ask
