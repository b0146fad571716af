"""Empirical risk minimisation: the mean cross-entropy of a shuffled batch, its gradient clipped.

The other steps derive from this one and change the loss.
Shapes: x_B… a batch, y_B int64 labels, logits_BK.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from raiaudit.models.training.augment import augmented, mixed
from raiaudit.models.training.precision import autocast

if TYPE_CHECKING:
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.training.data import Batch, Examples

__all__ = ["StandardStep"]


class StandardStep:
    """Every example once an epoch, in a new order; an incomplete last batch waits for the next epoch."""

    def __init__(
        self, classifier: Classifier, recipe: Recipe, *, examples: int, device: torch.device, bf16: bool
    ) -> None:
        self.classifier = classifier
        self.recipe = recipe
        self.examples = examples
        self.batch_size = min(recipe.batch_size, examples)
        self.steps_per_epoch = examples // self.batch_size
        self.device = device
        self.bf16 = bf16
        self.state: dict[str, Any] = {}
        self.network: Callable[[Tensor], Tensor] = torch.compile(classifier) if recipe.compile else classifier

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """A seeded permutation, cut."""
        order_N = torch.randperm(self.examples, generator=generator, device=self.device)
        yield from torch.split(order_N[: self.steps_per_epoch * self.batch_size], self.batch_size)

    def gradients(self, batch: Batch, progress: float, generator: torch.Generator) -> Tensor:
        """Gradient of `loss`, clipped."""
        x = augmented(batch.x, self.recipe, generator)
        self.classifier.zero_grad(set_to_none=True)
        loss = self.loss(x, batch, progress, generator)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.recipe.gradient_clip:
            nn.utils.clip_grad_norm_(self.classifier.parameters(), self.recipe.gradient_clip)
        return loss.detach()

    def loss(self, x: Tensor, batch: Batch, progress: float, generator: torch.Generator) -> Tensor:
        """The mean loss of the augmented inputs `x` of a batch."""
        x, other_B, share = mixed(x, batch.y_B, self.recipe.mixup, generator)
        logits_BK = self.logits(x)
        own = self.cross_entropy(logits_BK, batch.y_B)
        if isinstance(share, float):
            return own
        return share * own + (1 - share) * self.cross_entropy(logits_BK, other_B)

    def logits(self, x: Tensor) -> Tensor:
        """logits_BK in float32, computed in the recipe's precision."""
        with autocast(self.device, self.bf16):
            return self.network(x).float()

    def cross_entropy(self, logits_BK: Tensor, y_B: Tensor) -> Tensor:
        """The mean, with the recipe's label smoothing."""
        return functional.cross_entropy(logits_BK, y_B, label_smoothing=self.recipe.label_smoothing)

    def score(self, held_out: Examples, generator: torch.Generator) -> float | None:
        """Nothing to choose an epoch by: the last one is kept."""
        return None
