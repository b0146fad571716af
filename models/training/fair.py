"""Fair training by weights: reweighing and group-DRO; `fair_step` picks a recipe's method.

Reweighing (F. Kamiran, T. Calders, Data preprocessing techniques for classification without
discrimination, KAIS 2012, doi:10.1007/s10115-011-0463-8): an example of group g and class y counts
P(g)·P(y)/P(g, y) times, so that group and class are independent in the weighted training set.

Group-DRO (S. Sagawa et al., Distributionally robust neural networks for group shifts, ICLR 2020,
arXiv:1911.08731, algorithm 1 in its plain form, without the adjustment by group size): the largest loss
of a group is minimised by exponentiated-gradient ascent on the weights q_G of the groups. Groups are
attribute × class as in the paper, those that occur in the training split. The paper draws a group, then
an example of it; so an epoch here is as many draws with replacement as there are examples.

Shapes: N training examples, B a batch, G groups, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.errors import UsageError
from raiaudit.models.fairness import positive_class
from raiaudit.models.recipe import POST_PROCESSING
from raiaudit.models.training.debiasing import AdversarialDebiasingStep
from raiaudit.models.training.groups import levels_of
from raiaudit.models.training.lagrangian import LagrangianStep
from raiaudit.models.training.standard import StandardStep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.data.dataset import Dataset
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.training.data import Batch

__all__ = ["GroupDROStep", "ReweighingStep", "fair_step", "reweighing_weights"]


def fair_step(
    classifier: Classifier, recipe: Recipe, dataset: Dataset, *, device: torch.device, bf16: bool
) -> StandardStep:
    """The step of `recipe.fairness`. Raises `UsageError` if the groups of the training split do not serve."""
    assert recipe.fairness is not None
    split, method = dataset.splits["train"], recipe.fairness.method
    levels, level_N = levels_of(split, recipe.fairness.attribute)
    if method == "correlation_remover" or method in POST_PROCESSING:
        return StandardStep(classifier, recipe, examples=len(split), device=device, bf16=bf16)
    if method == "lagrangian":
        return LagrangianStep(
            classifier,
            recipe,
            positive=positive_class(recipe.fairness, dataset.classes),
            level_N=level_N,
            device=device,
            bf16=bf16,
        )
    if method == "adversarial_debiasing":
        return AdversarialDebiasingStep(
            classifier,
            recipe,
            levels=len(levels),
            level_N=level_N,
            label_N=split.labels,
            device=device,
            bf16=bf16,
        )
    if method == "group_dro":
        group_N = level_N * classifier.classes + split.labels
        return GroupDROStep(classifier, recipe, group_N=group_N, device=device, bf16=bf16)
    _require_every_class(levels, level_N, split.labels, recipe.fairness.attribute)
    weight_N = reweighing_weights(level_N, split.labels)
    return ReweighingStep(classifier, recipe, weight_N=weight_N, device=device, bf16=bf16)


def reweighing_weights(level_N: NDArray[np.int64], label_N: NDArray[np.int64]) -> NDArray[np.float64]:
    """P(g)·P(y)/P(g, y) for the level g and the class y of each example; their mean is 1."""
    joint_GK = _joint(level_N, label_N)
    expected_GK = joint_GK.sum(1, keepdims=True) * joint_GK.sum(0, keepdims=True) / len(label_N)
    weight_N: NDArray[np.float64] = expected_GK[level_N, label_N] / joint_GK[level_N, label_N]
    return weight_N


def _joint(level_N: NDArray[np.int64], label_N: NDArray[np.int64]) -> NDArray[np.int64]:
    joint_GK = np.zeros((level_N.max() + 1, label_N.max() + 1), dtype=np.int64)
    np.add.at(joint_GK, (level_N, label_N), 1)
    return joint_GK


def _require_every_class(
    levels: tuple[str, ...], level_N: NDArray[np.int64], label_N: NDArray[np.int64], attribute: str
) -> None:
    joint_GK = _joint(level_N, label_N)
    lacking = np.argwhere((joint_GK == 0) & (joint_GK.sum(0) > 0))
    if len(lacking):
        level, label = lacking[0]
        raise UsageError(
            f"no training example of {attribute} {levels[level]!r} has class {label}: no weight makes "
            f"{attribute} and class independent",
            where="recipe.fairness",
            remedy="merge small levels, or use method: group_dro or adversarial_debiasing",
        )


class _PerExampleStep(StandardStep):
    """A standard step whose loss weighs examples differently."""

    def losses(self, x: Tensor, y_B: Tensor) -> Tensor:
        """The cross-entropy of each example, with the recipe's label smoothing."""
        smoothing = self.recipe.label_smoothing
        return functional.cross_entropy(self.logits(x), y_B, label_smoothing=smoothing, reduction="none")


class ReweighingStep(_PerExampleStep):
    """The mean of the losses, each times the weight of its example."""

    def __init__(
        self,
        classifier: Classifier,
        recipe: Recipe,
        *,
        weight_N: NDArray[np.float64],
        device: torch.device,
        bf16: bool,
    ) -> None:
        super().__init__(classifier, recipe, examples=len(weight_N), device=device, bf16=bf16)
        self.weight_N = torch.from_numpy(weight_N.astype(np.float32)).to(device)

    def loss(self, x: Tensor, batch: Batch, progress: float, generator: torch.Generator) -> Tensor:
        """Divided by the number of examples: their weights are 1 in the mean of the training split."""
        return (self.weight_N[batch.index_B] * self.losses(x, batch.y_B)).mean()


class GroupDROStep(_PerExampleStep):
    """The mean losses of the groups, weighed by q_G, which each step moves towards the worst group.

    `group_N` numbers the groups in any way. q_G is `state["group_weights"]`, in the order of the numbers.
    """

    def __init__(
        self,
        classifier: Classifier,
        recipe: Recipe,
        *,
        group_N: NDArray[np.int64],
        device: torch.device,
        bf16: bool,
    ) -> None:
        super().__init__(classifier, recipe, examples=len(group_N), device=device, bf16=bf16)
        assert recipe.fairness is not None
        self.rate = recipe.fairness.weights_rate
        _, dense_N, size_G = np.unique(group_N, return_inverse=True, return_counts=True)
        self.group_N = torch.from_numpy(dense_N.astype(np.int64)).to(device)
        self.size_G = torch.from_numpy(size_G).to(device)
        self.member_N = torch.argsort(self.group_N, stable=True)
        self.first_G = self.size_G.cumsum(0) - self.size_G
        self.state["group_weights"] = torch.full((len(size_G),), 1 / len(size_G), device=device)

    def batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """For each place in a batch a group, all equally likely, and then one of its examples."""
        B = self.batch_size
        for _ in range(self.steps_per_epoch):
            group_B = torch.randint(len(self.size_G), (B,), generator=generator, device=self.device)
            share_B = torch.rand(B, generator=generator, device=self.device, dtype=torch.float64)
            size_B = self.size_G[group_B]
            place_B = (share_B * size_B).long().minimum(size_B - 1)  # a product may round up to the size
            yield self.member_N[self.first_G[group_B] + place_B]

    def loss(self, x: Tensor, batch: Batch, progress: float, generator: torch.Generator) -> Tensor:
        """Σ_g q_g·(mean loss of g in the batch); a group that is not in the batch has loss 0."""
        group_B = self.group_N[batch.index_B]
        count_G = torch.bincount(group_B, minlength=len(self.size_G))
        sum_G = torch.zeros(len(count_G), device=x.device).index_add(0, group_B, self.losses(x, batch.y_B))
        mean_G = sum_G / count_G.clamp_min(1)
        raised_G: Tensor = self.state["group_weights"] * (self.rate * mean_G.detach()).exp()
        weight_G = raised_G / raised_G.sum()
        self.state["group_weights"] = weight_G
        return torch.dot(weight_G, mean_G)
