"""DP-SGD (Abadi et al., arXiv:1607.00133): Poisson batches, per-example clipping, Gaussian noise.

Each of T steps includes every example independently with probability q, clips each example's gradient
to an L2 norm of at most C, adds N(0, σ²C²) to the sum and divides by the constant q·N. The number of
training examples N is taken as public (it is part of the recipe), so neither q nor the divisor
depends on a private value.

Per-example gradients come from `torch.func.vmap(grad)`, whatever the layers: of the ways Opacus offers
beside it this was the quickest for small convolutional networks (100 ms against 174–513 ms a step for a
26k-parameter network at B = 256). Opacus validates the model, and its accountants and optimiser are the
references the tests compare with.

The noise is drawn from a seeded generator: an audit must be able to reproduce a model. The guarantee
then holds against an adversary who does not know the seed.

Shapes: B the size of one Poisson batch (0 is possible), x_B… inputs, y_B int64 labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from raiaudit.errors import UsageError
from raiaudit.models.training.accounting import Mechanism, epsilon_pld, epsilon_prv, noise_multiplier
from raiaudit.models.training.augment import augmented
from raiaudit.models.version import PrivacyRecord

if TYPE_CHECKING:
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.training.data import Batch, Examples

__all__ = ["PrivateStep", "clipped_sum"]

_CHUNK_BYTES = 128 * 2**20  # of per-example gradients held at once


def clipped_sum(gradients: dict[str, Tensor], clip: float) -> tuple[dict[str, Tensor], Tensor]:
    """Sum over examples of per-example gradients (each B×…) scaled to a joint L2 norm of at most `clip`.

    Scales in place. Also returns the norms_B of what was summed, measured after scaling.
    """
    norms_B = _norms(gradients)
    factors_B = (clip / norms_B.clamp_min(torch.finfo(norms_B.dtype).tiny)).clamp_max(1.0)
    # A gradient that is not a number would spoil the sum and the bound alike: it counts as zero.
    factors_B = torch.where(norms_B.isfinite(), factors_B, 0.0)
    for gradient in gradients.values():
        gradient.nan_to_num_(0.0, 0.0, 0.0).mul_(factors_B.view(-1, *(1,) * (gradient.dim() - 1)))
    return {name: gradient.sum(0) for name, gradient in gradients.items()}, _norms(gradients)


def _norms(gradients: dict[str, Tensor]) -> Tensor:
    per_parameter_PB = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients.values()])
    norms_B: Tensor = torch.linalg.vector_norm(per_parameter_PB, dim=0)
    return norms_B


class PrivateStep:
    """One DP-SGD update; `state` holds the largest norm that clipping ever left.

    Raises `UsageError` for a model whose layers mix examples, and for an unreachable budget.
    """

    def __init__(
        self, classifier: Classifier, recipe: Recipe, *, examples: int, device: torch.device
    ) -> None:
        assert recipe.privacy is not None
        self._refuse_mixing(classifier)
        if recipe.batch_size > examples:
            raise UsageError(
                f"the expected batch of {recipe.batch_size} is larger than the {examples} training examples",
                where="recipe.batch_size",
            )
        self.classifier = classifier
        self.recipe = recipe
        self.label_smoothing = recipe.label_smoothing
        self.budget = recipe.privacy
        self.examples = examples
        self.device = device
        self.sample_rate = recipe.batch_size / examples
        self.divisor = float(recipe.batch_size)
        self.steps_per_epoch = max(1, round(1 / self.sample_rate))
        self.steps = recipe.epochs * self.steps_per_epoch
        try:
            self.sigma = noise_multiplier(
                epsilon=self.budget.epsilon,
                delta=self.budget.delta,
                sample_rate=self.sample_rate,
                steps=self.steps,
            )
        except ValueError as error:
            raise UsageError(str(error), where="recipe.privacy.epsilon", remedy="raise epsilon") from error
        parameters = sum(parameter.numel() for parameter in classifier.parameters())
        self.chunk = max(1, _CHUNK_BYTES // (4 * parameters))
        self.state: dict[str, Any] = {"max_clipped_norm": 0.0}

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
        x, y_B = augmented(batch.x, self.recipe, generator), batch.y_B
        named = {name: p for name, p in self.classifier.named_parameters() if p.requires_grad}
        sums = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
        total = torch.zeros((), device=self.device)
        if len(y_B):
            for x_part, y_part in zip(torch.split(x, self.chunk), torch.split(y_B, self.chunk), strict=True):
                per_example, losses_B = self.per_example(x_part, y_part)
                clipped, norms_B = clipped_sum(per_example, self.budget.clip)
                for name, value in clipped.items():
                    sums[name] += value
                total += losses_B.sum()
                self.state["max_clipped_norm"] = max(self.state["max_clipped_norm"], float(norms_B.max()))
        for name, parameter in named.items():
            noise = torch.randn(parameter.shape, generator=generator, device=self.device)
            parameter.grad = (sums[name] + self.sigma * self.budget.clip * noise) / self.divisor
        return total / max(1, len(y_B))

    def score(self, held_out: Examples, generator: torch.Generator) -> float | None:
        """Nothing to choose an epoch by: the last one is kept, so that no choice spends privacy."""
        return None

    def per_example(self, x: Tensor, y_B: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Gradients of each example's own loss (by parameter name, B×…), and losses_B."""
        parameters = {name: p.detach() for name, p in self.classifier.named_parameters() if p.requires_grad}
        buffers = dict(self.classifier.named_buffers())

        def loss(parameters: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
            logits = functional_call(self.classifier, (parameters, buffers), (one[None],))
            return functional.cross_entropy(logits, label[None], label_smoothing=self.label_smoothing)

        # The fused attention kernels have no batching rule.
        with sdpa_kernel(SDPBackend.MATH):
            per_example = vmap(grad_and_value(loss), in_dims=(None, 0, 0), randomness="different")
            gradients, losses_B = per_example(parameters, x, y_B)
        return gradients, losses_B

    def record(self, *, unaccounted: str) -> PrivacyRecord:
        """What was spent. `unaccounted`: a use of the training rows outside the noisy steps, or ""."""
        mechanism = Mechanism(self.sigma, self.sample_rate, self.steps, self.budget.delta)
        prv, why_no_prv = epsilon_prv(mechanism)
        largest = self.state["max_clipped_norm"]
        clipped = largest <= self.budget.clip * (1 + 1e-4)  # float32 rounding of a norm
        reasons = [
            unaccounted,
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
            certified=not any(reasons) and math.isfinite(largest),
            why="; ".join(filter(None, [*reasons, why_no_prv])),
        )
