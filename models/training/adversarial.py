"""Adversarial training (Madry et al., arXiv:1706.06083): the gradient of the loss at PGD's end point.

The inner maximisation runs in evaluation mode with frozen parameters, so that it attacks the function
that will be served: dropout is off, BatchNorm uses and keeps its running statistics, and an input
gradient costs half. The outer step is the standard one on the perturbed batch.

Images move inside the ball and their box. A table row moves in units of each column's range: only
mutable real and integer columns, within their bounds and in their monotone direction (integers are
relaxed to reals); one-hot slots and immutable columns stay.

Shapes: x_BCHW images or x_BW encoded rows, y_B int64 labels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from raiaudit.attacks.evasion.base import prepared
from raiaudit.attacks.evasion.images.pgd import perturb
from raiaudit.attacks.spaces import ImageBox, TableSchema
from raiaudit.errors import UsageError
from raiaudit.models.training.standard import StandardStep

if TYPE_CHECKING:
    from raiaudit.attacks.spaces import InputSpace
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.training.data import Batch

__all__ = ["AdversarialStep"]


class AdversarialStep(StandardStep):
    """A standard step whose every input was first moved to raise the loss."""

    def __init__(
        self,
        classifier: Classifier,
        recipe: Recipe,
        *,
        examples: int,
        space: InputSpace,
        device: torch.device,
        bf16: bool,
    ) -> None:
        super().__init__(classifier, recipe, examples=examples, device=device, bf16=bf16)
        if not isinstance(space, ImageBox | TableSchema):
            raise UsageError(
                "adversarial training moves images and tables, not texts",
                where="recipe.kind",
                remedy="use kind: standard or private for a text model",
            )
        assert recipe.adversary is not None
        self.adversary = recipe.adversary
        self.space = space
        self.reach = _Reach(space, device) if isinstance(space, TableSchema) else None

    def loss(self, x: Tensor, batch: Batch, progress: float, generator: torch.Generator) -> Tensor:
        """The mean loss at the perturbed inputs."""
        return self.cross_entropy(self.logits(self.worst(x, batch.y_B, generator)), batch.y_B)

    def worst(self, x: Tensor, y_B: Tensor, generator: torch.Generator) -> Tensor:
        """The inputs after PGD, within the ball and the input space."""
        ball = self.adversary
        step_size = ball.step_size or 2.5 * ball.eps / ball.steps
        with prepared(self.classifier), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            if isinstance(self.space, ImageBox):
                return perturb(
                    self.classifier,
                    x,
                    y_B,
                    norm=ball.norm,
                    eps=ball.eps,
                    step_size=step_size,
                    steps=ball.steps,
                    low=self.space.low,
                    high=self.space.high,
                    generator=generator,
                )
            reach = self.reach
            assert reach is not None
            moved_BW = perturb(
                lambda moves_BW: self.classifier(reach.applied(x, moves_BW)),
                torch.zeros_like(x),
                y_B,
                norm=ball.norm,
                eps=ball.eps,
                step_size=step_size,
                steps=ball.steps,
                low=-math.inf,
                high=math.inf,
                generator=generator,
            )
            return reach.applied(x, moved_BW)


class _Reach:
    """How far each slot of an encoded row may move, in units of its column's range."""

    def __init__(self, schema: TableSchema, device: torch.device) -> None:
        low, high, scale = [], [], []
        down, up = [], []
        for column in schema.columns:
            movable = column.mutable and column.kind != "category"
            low += [column.low if movable else -math.inf] * column.width
            high += [column.high if movable else math.inf] * column.width
            scale += [column.high - column.low if movable else 0.0] * column.width
            down += [0.0 if column.monotone == "increasing" else -math.inf] * column.width
            up += [0.0 if column.monotone == "decreasing" else math.inf] * column.width
        self.low_W, self.high_W, self.scale_W, self.down_W, self.up_W = (
            torch.tensor(values, device=device) for values in (low, high, scale, down, up)
        )

    def applied(self, x_BW: Tensor, moves_BW: Tensor) -> Tensor:
        """Rows after a move, held to the columns' bounds; a row already outside them stays there."""
        moves_BW = moves_BW.maximum(self.down_W).minimum(self.up_W)
        moved_BW = x_BW + moves_BW * self.scale_W
        return moved_BW.maximum(self.low_W.minimum(x_BW)).minimum(self.high_W.maximum(x_BW))
