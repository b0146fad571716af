"""The attack inside the training loop: where each input of a batch is moved before its gradient is taken.

It runs in evaluation mode with frozen parameters, so that it attacks the function that will be served:
dropout is off, BatchNorm uses and keeps its running statistics, and an input gradient costs half. Each
example moves by its own gradient alone, whatever else is in the batch; private training can use it too.

PGD (Madry et al., arXiv:1706.06083) starts uniformly in the ball and ascends the cross-entropy; for MART it
starts at x + 0.001·N(0, 1), for TRADES it also ascends the divergence from the clean answer
(`trades.py`). `fast` is one step from noise (`noisy_step.py`). Images move inside the ball and their box,
table rows as `reach.py` says, eps being a share of each column's range.

Shapes: x_BCHW images, feature vectors or encoded rows x_BW; y_B int64 labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from raiaudit.attacks.evasion.base import prepared
from raiaudit.attacks.evasion.images.pgd import perturb
from raiaudit.attacks.spaces import ImageBox, TableSchema
from raiaudit.errors import UsageError
from raiaudit.models.training.adversarial.noisy_step import noisy_step
from raiaudit.models.training.adversarial.reach import Reach
from raiaudit.models.training.adversarial.trades import divergences
from raiaudit.models.training.precision import autocast

if TYPE_CHECKING:
    from torch import nn

    from raiaudit.attacks.evasion.base import LogitsOf
    from raiaudit.attacks.spaces import InputSpace
    from raiaudit.models.recipe import Adversary

__all__ = ["Frame", "InnerAttack"]

_START_DEVIATION = 1e-3  # of TRADES and MART, in the units of the inputs


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a batch is moved: an origin in a box of free coordinates, and how they become inputs."""

    origin: Tensor
    low: float
    high: float
    applied: Callable[[Tensor], Tensor]


class InnerAttack:
    """The adversary of a recipe against one classifier.

    `network` is what computes (a compiled form of the classifier, by default itself). Raises `UsageError`
    for texts.
    """

    def __init__(
        self,
        classifier: nn.Module,
        adversary: Adversary,
        space: InputSpace,
        *,
        device: torch.device,
        bf16: bool = False,
        network: LogitsOf | None = None,
    ) -> None:
        if not isinstance(space, ImageBox | TableSchema):
            raise UsageError(
                "adversarial training moves images and tables, not texts",
                where="recipe.kind",
                remedy="use kind: standard or private for a text model, without `adversary`",
            )
        self.classifier = classifier
        self.network = network if network is not None else classifier
        self.adversary = adversary
        self.space = space
        self.bf16 = bf16
        self.reach = Reach(space, device) if isinstance(space, TableSchema) else None
        self.layout = _layout(classifier)

    def eps(self, progress: float) -> float:
        """The radius at `progress` in [0, 1] of training: it grows linearly over the ramp."""
        ramp = self.adversary.ramp
        return self.adversary.eps * (min(1.0, progress / ramp) if ramp else 1.0)

    def worst(self, x: Tensor, y_B: Tensor, *, progress: float, generator: torch.Generator) -> Tensor:
        """The inputs the loss is taken at, detached; the classifier's mode and flags are restored."""
        how, eps = self.adversary, self.eps(progress)
        usual = how.eps if how.objective == "fast" else 2.5 * how.eps / how.steps
        step_size = (how.step_size or usual) * (eps / how.eps)
        if how.objective != "fast":
            return self.ascended(x, y_B, eps=eps, step_size=step_size, steps=how.steps, generator=generator)
        frame = self.frame(x)
        with prepared(self.classifier), autocast(x.device, self.bf16):
            moved = noisy_step(
                lambda free: self.network(frame.applied(free)),
                frame.origin,
                y_B,
                eps=eps,
                step_size=step_size,
                low=frame.low,
                high=frame.high,
                generator=generator,
            )
        return frame.applied(moved)

    def ascended(
        self,
        x: Tensor,
        y_B: Tensor,
        *,
        eps: float,
        step_size: float,
        steps: int,
        generator: torch.Generator,
        plain: bool = False,
    ) -> Tensor:
        """The inputs after PGD as the objective has it, or `plain`: on the cross-entropy, from anywhere."""
        frame, objective = self.frame(x), "pgd" if plain else self.adversary.objective
        with prepared(self.classifier), autocast(x.device, self.bf16):
            search = partial(
                perturb,
                lambda free: self.network(frame.applied(free)),
                frame.origin,
                y_B,
                norm=self.adversary.norm,
                eps=eps,
                step_size=step_size,
                steps=steps,
                low=frame.low,
                high=frame.high,
                generator=generator,
                start_deviation=None if objective == "pgd" else _START_DEVIATION,
            )
            if objective != "trades":
                return frame.applied(search())
            with torch.no_grad():
                clean_BK = self.network(frame.applied(frame.origin)).float()
            moved = search(loss=lambda logits_BK, _: divergences(clean_BK, logits_BK.float()).sum())
            return frame.applied(moved)

    def frame(self, x: Tensor) -> Frame:
        """Free coordinates of a batch: the image itself, or a row's moves in units of its columns."""
        if isinstance(self.space, ImageBox):
            if x.dim() == 4:
                x = x.contiguous(memory_format=self.layout)
            return Frame(x, self.space.low, self.space.high, lambda free: free)
        assert self.reach is not None
        return Frame(torch.zeros_like(x), -math.inf, math.inf, partial(self.reach.applied, x))


def _layout(classifier: nn.Module) -> torch.memory_format:
    """The layout of the classifier's kernels: inputs in another one would be copied at every step."""
    kernels = [p for p in classifier.parameters() if p.dim() == 4 and not p.is_contiguous()]
    if any(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels):
        return torch.channels_last
    return torch.contiguous_format
