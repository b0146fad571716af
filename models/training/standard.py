"""Plain empirical risk minimisation: the mean cross-entropy of a shuffled batch, its gradient clipped.

Shapes: x_B… a batch, y_B int64 labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from raiaudit.models.training.precision import autocast

if TYPE_CHECKING:
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.recipe import Recipe

__all__ = ["StandardStep"]

_LARGEST_GRADIENT = 5.0  # L2 norm; tames the first steps, rarely reached later


class StandardStep:
    """Every example once an epoch, in a new order; an incomplete last batch waits for the next epoch."""

    def __init__(
        self, classifier: Classifier, recipe: Recipe, *, examples: int, device: torch.device, bf16: bool
    ) -> None:
        self.classifier = classifier
        self.label_smoothing = recipe.label_smoothing
        self.examples = examples
        self.batch_size = min(recipe.batch_size, examples)
        self.steps_per_epoch = examples // self.batch_size
        self.device = device
        self.bf16 = bf16
        self.state: dict[str, float] = {}

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """A seeded permutation, cut."""
        order_N = torch.randperm(self.examples, generator=generator, device=self.device)
        yield from torch.split(order_N[: self.steps_per_epoch * self.batch_size], self.batch_size)

    def gradients(self, x: Tensor, y_B: Tensor, generator: torch.Generator) -> Tensor:
        """Gradient of the mean loss."""
        self.classifier.zero_grad(set_to_none=True)
        with autocast(self.device, self.bf16):
            logits_BK = self.classifier(x)
        loss = functional.cross_entropy(logits_BK.float(), y_B, label_smoothing=self.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.classifier.parameters(), _LARGEST_GRADIENT)
        return loss.detach()
