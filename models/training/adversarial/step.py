"""Adversarial training: the gradient of a robust loss at the inputs the inner attack found.

`pgd` and `fast` take the cross-entropy there (arXiv:1706.06083, arXiv:2202.01181), `trades` and `mart` weigh
it against the clean answer (`trades.py`, `mart.py`). On top of each: weights moved against it
(`weight_perturbation.py`) and gradients kept aligned in the ball (`alignment.py`).

Single-step training can break down from one epoch to the next, blind to every attack but its own
(catastrophic overfitting, arXiv:2001.03994), and long training forgets (robust overfitting,
arXiv:2002.11569): the watch scores each epoch by PGD on held-out examples, and the loop keeps the best.

Shapes: x of any shape B×…, y_B int64 labels, logits_BK.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.func import functional_call

from raiaudit.attacks.evasion.base import prepared
from raiaudit.models.training.adversarial.alignment import misalignment
from raiaudit.models.training.adversarial.inner import InnerAttack
from raiaudit.models.training.adversarial.mart import mart
from raiaudit.models.training.adversarial.trades import trades
from raiaudit.models.training.adversarial.weight_perturbation import frozen_statistics, raised_weights
from raiaudit.models.training.precision import autocast
from raiaudit.models.training.standard import StandardStep

if TYPE_CHECKING:
    from raiaudit.attacks.spaces import InputSpace
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.training.data import Batch, Examples

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
        assert recipe.adversary is not None
        self.adversary = recipe.adversary
        self.inner = InnerAttack(
            classifier, recipe.adversary, space, device=device, bf16=bf16, network=self.network
        )

    def loss(self, x: Tensor, batch: Batch, progress: float, generator: torch.Generator) -> Tensor:
        """The robust loss of the batch."""
        y_B = batch.y_B
        worst = self.inner.worst(x, y_B, progress=progress, generator=generator)
        loss = self.robust(self.logits, x, worst, y_B)
        if self.adversary.weight_perturbation:
            raised = raised_weights(self.classifier, loss, self.adversary.weight_perturbation)

            def logits(inputs: Tensor) -> Tensor:
                with autocast(self.device, self.bf16):
                    logits_BK: Tensor = functional_call(self.classifier, raised, (inputs,))
                    return logits_BK.float()

            with frozen_statistics(self.classifier):
                loss = self.robust(logits, x, worst, y_B)
        if self.adversary.gradalign:
            gap = self.misalignment(x, y_B, eps=self.inner.eps(progress), generator=generator)
            loss = loss + self.adversary.gradalign * gap
        return loss

    def robust(self, logits: Callable[[Tensor], Tensor], x: Tensor, worst: Tensor, y_B: Tensor) -> Tensor:
        """The loss of the objective, computed with `logits`."""
        if self.adversary.objective in ("pgd", "fast"):
            return self.cross_entropy(logits(worst), y_B)
        weighed = trades if self.adversary.objective == "trades" else mart
        return weighed(
            logits(x),
            logits(worst),
            y_B,
            beta=self.adversary.beta,
            label_smoothing=self.recipe.label_smoothing,
        )

    def misalignment(self, x: Tensor, y_B: Tensor, *, eps: float, generator: torch.Generator) -> Tensor:
        """GradAlign's term, with its graph to the parameters."""
        frame = self.inner.frame(torch.cat([x, x]))
        modes = [(module, module.training) for module in self.classifier.modules()]
        self.classifier.eval()
        try:
            with autocast(self.device, self.bf16):
                return misalignment(
                    lambda free: self.classifier(frame.applied(free)),
                    frame.origin[: len(x)],
                    y_B,
                    norm=self.adversary.norm,
                    eps=eps,
                    generator=generator,
                )
        finally:
            for module, mode in modes:
                module.training = mode

    def score(self, held_out: Examples, generator: torch.Generator) -> float | None:
        """Accuracy under PGD with `watch` steps in the whole ball, or None if nobody watches."""
        steps = self.adversary.watch
        if not steps:
            return None
        eps, right = self.adversary.eps, 0
        everything = torch.arange(len(held_out), device=held_out.labels_N.device)
        for batch in held_out.batches(torch.split(everything, self.batch_size)):
            moved = self.inner.ascended(
                batch.x,
                batch.y_B,
                eps=eps,
                step_size=2.5 * eps / steps,
                steps=steps,
                generator=generator,
                plain=True,
            )
            with torch.no_grad(), prepared(self.classifier):
                right += int((self.logits(moved).argmax(1) == batch.y_B).sum())
        return right / len(held_out)
