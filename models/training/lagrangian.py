"""Fairness constraints while training: the reductions approach played out in one run.

A. Agarwal et al., A reductions approach to fair classification, ICML 2018, arXiv:1803.02453: for every group
g and both signs, ±(P(Ŷ = 1 | g, c) − P(Ŷ = 1 | c)) ≤ ε, where the condition c is nothing (demographic
parity), Y = 1 (equal opportunity), or Y = 1 and Y = 0 (equalized odds). A player of multipliers λ (λ ≥ 0, of
sum at most B) raises those of what is violated, by exponentiated gradient; a learner minimises the loss plus
Σ λ·violation. There the learner trains a model anew for every λ, and each answer is drawn from all of them by
chance. Here, after A. Cotter et al., arXiv:1809.04198, both move at every batch: λ by the rates of answers
given, the learner by the gradient of the rates of probabilities, and the last model is kept. So it costs one
training, suits any differentiable model, and what is audited is a single function; the guarantee of the
randomised classifier is not claimed for it. Whether the gap closed is measured.

Shapes: B a batch, Q conditions, G levels; Q×G×2 constraints, one a sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from raiaudit.models.training.standard import StandardStep

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.training.data import Batch

__all__ = ["LagrangianStep"]


class LagrangianStep(StandardStep):
    """The cross-entropy plus the multipliers' share of the gaps.

    `level_N` is the level of every training example; the logarithms of the multipliers before they are
    scaled are `state["weights"]`, Q×G×2.
    """

    def __init__(
        self,
        classifier: Classifier,
        recipe: Recipe,
        *,
        positive: int,
        level_N: NDArray[np.int64],
        device: torch.device,
        bf16: bool,
    ) -> None:
        super().__init__(classifier, recipe, examples=len(level_N), device=device, bf16=bf16)
        assert recipe.fairness is not None
        self.how = recipe.fairness
        self.positive = positive
        self.levels = int(level_N.max()) + 1
        self.level_N = torch.from_numpy(level_N).to(device)
        conditions = 2 if self.how.criterion == "equalized_odds" else 1
        self.state["weights"] = torch.zeros(conditions, self.levels, 2, device=device)

    def loss(self, x: Tensor, batch: Batch, progress: float, generator: torch.Generator) -> Tensor:
        """λ moves first, then the loss with the new λ."""
        logits_BK = self.logits(x)
        chosen_B = (logits_BK.argmax(1) == self.positive).float()
        level_B = self.level_N[batch.index_B]
        gaps_QG = self._gaps(chosen_B, batch.y_B, level_B)
        violation_QG2 = torch.stack([gaps_QG, -gaps_QG], -1) - self.how.bound
        self.state["weights"] = self.state["weights"] + self.how.weights_rate * violation_QG2
        multipliers = multipliers_of(self.state["weights"], self.how.strength)
        probability_B = logits_BK.softmax(1)[:, self.positive]
        soft_QG = self._gaps(probability_B, batch.y_B, level_B)
        pull = ((multipliers[..., 0] - multipliers[..., 1]) * soft_QG).sum()
        return self.cross_entropy(logits_BK, batch.y_B) + pull

    def _gaps(self, chosen_B: Tensor, y_B: Tensor, level_B: Tensor) -> Tensor:
        """Each level's rate minus everybody's under each condition; 0 for who is not in the batch."""
        gaps = []
        for meets_B in self._conditions(y_B):
            count_G = torch.bincount(level_B[meets_B], minlength=self.levels)
            sum_G = torch.zeros(self.levels, device=chosen_B.device).index_add(
                0, level_B[meets_B], chosen_B[meets_B]
            )
            everybody = sum_G.sum() / count_G.sum().clamp_min(1)
            gaps.append((sum_G / count_G.clamp_min(1) - everybody) * (count_G > 0))
        return torch.stack(gaps)

    def _conditions(self, y_B: Tensor) -> list[Tensor]:
        is_positive_B = y_B == self.positive
        return {
            "demographic_parity": [torch.ones_like(is_positive_B)],
            "equal_opportunity": [is_positive_B],
            "equalized_odds": [is_positive_B, ~is_positive_B],
        }[self.how.criterion]


def multipliers_of(weights: Tensor, most: float) -> Tensor:
    """B·exp(w) / (1 + Σ exp(w)): not negative, and with a sum below B, by whatever is left unspent."""
    unspent = torch.cat([weights.flatten(), weights.new_zeros(1)])
    return most * unspent.softmax(0)[:-1].view_as(weights)
