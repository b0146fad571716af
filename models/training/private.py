"""DP-SGD (Abadi et al., arXiv:1607.00133): Poisson batches, per-example clipping, Gaussian noise.

Each of T steps includes every example independently with probability q, clips each example's gradient
to an L2 norm of at most C, adds N(0, σ²C²) to the sum and divides by the constant q·N. The number of
training examples N is taken as public (it is part of the recipe), so neither q nor the divisor
depends on a private value.

Per-example gradients come from book-keeping (`hooks.py`) or `torch.func.vmap` (`per_example.py`), whichever
`gradient_mode.py` finds correct and faster for the model. They differ in the last bits: weights repeat bit
for bit where the recipe names one, or is `deterministic`. Opacus validates the model, and its accountants
and optimiser are the references the tests compare with.

An `adversary` moves each example before its gradient is taken (adversarial and private at once). Where it
moves depends on that example, on noise of its own and on the weights, which are private already; its
gradient is still one example's, and clipped. So one example more or less changes the sum by at most C, and
the accounting is that of plain DP-SGD. The other objectives are not of that form: TRADES and MART ask two
answers, GradAlign and weight perturbation take further gradients.

Where an example is augmented, its gradient is the mean over its views before it is clipped
(arXiv:2204.13650): more views cost time and no privacy.

The noise is drawn from a seeded generator: an audit must be able to reproduce a model. The guarantee
then holds against an adversary who does not know the seed.

Shapes: B the size of one Poisson batch (0 is possible), V views of each example, y_B int64 labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from raiaudit.errors import UsageError
from raiaudit.models.training.accounting import Mechanism, epsilon_pld, epsilon_prv, noise_multiplier
from raiaudit.models.training.adversarial import InnerAttack
from raiaudit.models.training.augment import augmented
from raiaudit.models.training.gradient_mode import chosen
from raiaudit.models.training.per_example import clip_factors, trainable
from raiaudit.models.version import PrivacyRecord

if TYPE_CHECKING:
    from raiaudit.attacks.spaces import InputSpace
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.training.canaries import GradientCanaries
    from raiaudit.models.training.data import Batch, Examples
    from raiaudit.models.training.per_example import PerExample

__all__ = ["PrivateStep"]


class PrivateStep:
    """One DP-SGD update; `state` holds the largest norm that clipping ever left, the gradient mode, how many
    steps were taken, and the sum of the batch sizes and of their squares.

    `public_examples` is N, where it is not the number of `examples` that are drawn from: an audit adds some
    by a coin, and what it adds must show in no rate and no divisor. Raises `UsageError` for a model whose
    layers mix examples, and for an unreachable budget.
    """

    def __init__(
        self,
        classifier: Classifier,
        recipe: Recipe,
        *,
        examples: int,
        space: InputSpace,
        device: torch.device,
        public_examples: int | None = None,
        canaries: GradientCanaries | None = None,
    ) -> None:
        assert recipe.privacy is not None
        self._refuse_mixing(classifier)
        self.attack = None
        if recipe.adversary is not None:
            self.attack = InnerAttack(classifier, recipe.adversary, space, device=device)
        N = examples if public_examples is None else public_examples
        if recipe.batch_size > N:
            raise UsageError(
                f"the expected batch of {recipe.batch_size} is larger than the {N} training examples",
                where="recipe.batch_size",
            )
        self.classifier = classifier
        self.recipe = recipe
        self.budget = recipe.privacy
        self.examples = examples
        self.canaries = canaries
        self.device = device
        self.sample_rate = recipe.batch_size / N
        self.divisor = float(recipe.batch_size)
        self.steps_per_epoch = max(1, round(1 / self.sample_rate))
        self.steps = recipe.epochs * self.steps_per_epoch
        self.sigma = noise_multiplier(
            epsilon=self.budget.epsilon,
            delta=self.budget.delta,
            sample_rate=self.sample_rate,
            steps=self.steps,
        )
        self.mode: PerExample | None = None
        self.state: dict[str, Any] = {
            "max_clipped_norm": 0.0,
            "gradients": self.budget.gradients,
            "steps": 0,
            "drawn": 0,
            "drawn_squared": 0,
        }

    @staticmethod
    def _refuse_mixing(classifier: Classifier) -> None:
        from opacus.validators import ModuleValidator

        # Opacus lets a BatchNorm without trainable weights pass, although it still reads raw data.
        mixes = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in classifier.modules())
        errors = ModuleValidator.validate(classifier.train(), strict=False)
        if mixes or errors:
            raise UsageError(
                "private training needs layers that treat each example alone"
                + (": BatchNorm mixes a batch" if mixes else f": {errors[0]}"),
                where=f"architecture {classifier.architecture}",
                remedy="set options: {norm: group}, or choose an architecture without BatchNorm",
            )

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Poisson batches: each example in or out by its own coin."""
        for _ in range(self.steps_per_epoch):
            coins_N = torch.rand(self.examples, generator=generator, device=self.device)
            yield (coins_N < self.sample_rate).nonzero().flatten()

    def gradients(self, batch: Batch, progress: float, generator: torch.Generator) -> Tensor:
        """The noisy clipped mean gradient; the loss is the batch's own mean, for the progress line."""
        named = trainable(self.classifier)
        sums = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
        loss = torch.zeros((), device=self.device)
        if len(batch.y_B):
            x_BV = self.views(batch, progress, generator)
            self.mode = self.mode or self._chosen_mode(x_BV, batch.y_B)
            clipped = self.mode.clipped(x_BV, batch.y_B, self.budget.clip)
            sums, loss = clipped.sums, clipped.losses_B.mean()
            largest = (clipped.norms_B * clip_factors(clipped.norms_B, self.budget.clip)).max()
            self.state["max_clipped_norm"] = max(self.state["max_clipped_norm"], float(largest))
        self.state["steps"] += 1
        self.state["drawn"] += len(batch.y_B)
        self.state["drawn_squared"] += len(batch.y_B) ** 2
        if self.canaries is not None:
            self.canaries.plant(sums, clip=self.budget.clip, sample_rate=self.sample_rate)
        for name, parameter in named.items():
            noise = torch.randn(parameter.shape, generator=generator, device=self.device)
            parameter.grad = (sums[name] + self.sigma * self.budget.clip * noise) / self.divisor
        if self.canaries is not None:
            self.canaries.watch(named, divisor=self.divisor, sigma=self.sigma)
        return loss

    def views(self, batch: Batch, progress: float, generator: torch.Generator) -> Tensor:
        """Each example's augmented views side by side, and each moved by the adversary: x_BV…"""
        V = self.budget.augmentations
        x_BV = torch.stack([augmented(batch.x, self.recipe, generator) for _ in range(V)], dim=1)
        if self.attack is None:
            return x_BV
        x, labels = x_BV.flatten(0, 1), batch.y_B.repeat_interleave(V)
        moved = self.attack.worst(x, labels, progress=progress, generator=generator)
        return moved.reshape(x_BV.shape)

    def _chosen_mode(self, x_BV: Tensor, y_B: Tensor) -> PerExample:
        mode = chosen(
            self.state["gradients"],  # after a resume: the one that was chosen before
            self.classifier,
            x_BV,
            y_B,
            self.budget.clip,
            label_smoothing=self.recipe.label_smoothing,
            timed=not self.recipe.deterministic,
        )
        self.state["gradients"] = mode.name
        return mode

    def score(self, held_out: Examples, generator: torch.Generator) -> float | None:
        """Nothing to choose an epoch by: the last one is kept, so that no choice spends privacy."""
        return None

    def record(self, *, unaccounted: str) -> PrivacyRecord:
        """What was spent. `unaccounted`: a use of the training rows outside the noisy steps, or ""."""
        mechanism = Mechanism(self.sigma, self.sample_rate, self.steps, self.budget.delta)
        prv, why_no_prv = epsilon_prv(mechanism)
        largest = self.state["max_clipped_norm"]
        clipped = largest <= self.budget.clip * (1 + 1e-4)  # float32 rounding of a norm
        taken, drawn = self.state["steps"], self.state["drawn"]
        mean = drawn / taken if taken else 0.0
        reasons = [
            unaccounted,
            "" if taken == self.steps else f"{taken:,} steps were taken, {self.steps:,} accounted for",
            "" if clipped else f"a clipped gradient had norm {largest:.6g} > {self.budget.clip:g}",
        ]
        return PrivacyRecord(
            sample_rate=self.sample_rate,
            noise_multiplier=self.sigma,
            steps=self.steps,
            clip=self.budget.clip,
            delta=self.budget.delta,
            epsilon_pld=epsilon_pld(mechanism),
            epsilon_prv=prv,
            target_epsilon=self.budget.epsilon,
            poisson_sampling=True,
            public_divisor=self.divisor,
            max_clipped_norm=largest,
            gradients=self.state["gradients"],
            steps_taken=taken,
            batch_mean=mean,
            batch_variance=self.state["drawn_squared"] / taken - mean**2 if taken else 0.0,
            certified=not any(reasons) and math.isfinite(largest),
            why="; ".join(filter(None, [*reasons, why_no_prv])),
        )
