"""What fair training does before and after the loop: columns decorrelated, thresholds moved.

Both are fitted on data of their own split (training; validation) and become part of the classifier, so that
its weights carry them.

Shapes: N examples of a split, W slots of an encoded row, S of them the attribute's, G groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from raiaudit.attacks.spaces import TableSchema
from raiaudit.errors import UsageError
from raiaudit.models.architectures.mitigated import Decorrelated, ThresholdsByGroup
from raiaudit.models.fairness import feature_slots, positive_class
from raiaudit.models.training.groups import levels_of
from raiaudit.models.training.thresholds import Cuts, least_disparity, within_bound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.data.dataset import Dataset
    from raiaudit.models.recipe import Criterion, Mitigation
    from raiaudit.models.training.data import Examples

__all__ = ["decorrelated", "with_thresholds"]

_FEWEST = 30  # validation examples of a group, and of a class of it that the criterion asks for
_ASKED = {
    "demographic_parity": "each",
    "equal_opportunity": "of the positive class each",
    "equalized_odds": "of both classes each",
}
_BATCH = 512
_EXACT = 1e-3  # how exactly a bias moves a logit


def decorrelated(model: Classifier, dataset: Dataset, mitigation: Mitigation) -> Decorrelated:
    """`model` of rows from which the training split's linear correlation with the attribute is taken out."""
    slots = feature_slots(dataset, mitigation)
    rows_NW = np.asarray(dataset.splits["train"].inputs, dtype=np.float64)
    attribute_NS = rows_NW[:, slots]
    mean_S = attribute_NS.mean(0)
    # One-hot slots depend on each other: of all solutions, the smallest. They solve for themselves exactly.
    coefficients_SW = np.linalg.lstsq(attribute_NS - mean_S, rows_NW - rows_NW.mean(0), rcond=None)[0]
    whole = Decorrelated(model, rows_NW.shape[1])
    whole.set_removal(slots, mean_S, coefficients_SW)
    return whole


def with_thresholds(
    classifier: Classifier, dataset: Dataset, validation: Examples, mitigation: Mitigation
) -> Classifier:
    """The trained classifier with the thresholds of `mitigation`, fitted on the validation split.

    Raises `UsageError` where a group or class that is needed is too rare there.
    """
    positive = positive_class(mitigation, dataset.classes)
    split = dataset.splits["validation"]
    levels, level_N = levels_of(split, mitigation.attribute)
    is_positive_N = split.labels == positive
    score_N = _scores(classifier, validation, positive)
    kept = [
        group
        for group in range(len(levels))
        if _suffices(is_positive_N[level_N == group], mitigation.criterion)
    ]
    if len(kept) < 2:
        raise UsageError(
            f"{mitigation.criterion} needs two groups of {mitigation.attribute} with {_FEWEST} validation "
            f"examples {_ASKED[mitigation.criterion]}",
            where="recipe.fairness",
            remedy="add validation examples, or choose a method that works while training",
        )
    parts = [(score_N[level_N == group], is_positive_N[level_N == group]) for group in kept]
    if mitigation.method == "shared_threshold":
        everybody = Cuts.of(score_N, is_positive_N, mitigation.criterion)
        cuts = [Cuts.at(*part, everybody.threshold_T) for part in parts]
        as_it_was = sum(int(((score > 0) == truth).sum()) for score, truth in parts)
        fewest = as_it_was - int(mitigation.budget * sum(len(score) for score, _ in parts))
        chosen = least_disparity(cuts, mitigation.criterion, fewest)
        _shift_bias(classifier, validation, positive, -float(everybody.threshold_T[chosen]))
        return classifier
    cuts = [Cuts.of(*part, mitigation.criterion) for part in parts]
    places = within_bound(cuts, mitigation.criterion, mitigation.bound)
    offsets = {
        levels[group]: -float(own.threshold_T[place])
        for group, own, place in zip(kept, cuts, places, strict=True)
    }
    return _by_group(classifier, dataset, mitigation, positive, offsets).to(validation.labels_N.device)


def _by_group(
    classifier: Classifier,
    dataset: Dataset,
    mitigation: Mitigation,
    positive: int,
    offsets: Mapping[str, float],
) -> ThresholdsByGroup:
    """A group without an offset of its own keeps the model's threshold."""
    slots = feature_slots(dataset, mitigation)
    assert isinstance(dataset.space, TableSchema)
    (column,) = (column for column in dataset.space.columns if column.name == mitigation.attribute)
    if strangers := offsets.keys() - set(column.categories):
        raise UsageError(
            f"{mitigation.attribute} {min(strangers)!r} is a group, and no level of the column of that name",
            where="recipe.fairness.attribute",
            remedy="write the group column and the feature alike, or choose method: shared_threshold",
        )
    whole = ThresholdsByGroup(classifier, dataset.space.width)
    whole.set_offsets(slots, positive, np.array([offsets.get(level, 0.0) for level in column.categories]))
    return whole.eval()


def _suffices(is_positive_N: NDArray[np.bool_], criterion: Criterion) -> bool:
    positives = int(is_positive_N.sum())
    counts = {
        "demographic_parity": [len(is_positive_N)],
        "equal_opportunity": [positives],
        "equalized_odds": [positives, len(is_positive_N) - positives],
    }
    return min(counts[criterion]) >= _FEWEST


@torch.no_grad()
def _scores(classifier: Classifier, examples: Examples, positive: int) -> NDArray[np.float64]:
    """By how much the positive class's logit exceeds the largest other one: above 0, it is the answer."""
    classifier.eval()
    everything = torch.arange(len(examples), device=examples.labels_N.device)
    margins = []
    for batch in examples.batches(torch.split(everything, _BATCH)):
        logits_BK = classifier(batch.x).double()
        others_BK = logits_BK.index_fill(1, torch.tensor([positive], device=logits_BK.device), -torch.inf)
        margins.append(logits_BK[:, positive] - others_BK.amax(1))
    margin_N: NDArray[np.float64] = torch.cat(margins).cpu().numpy()
    return margin_N


@torch.no_grad()
def _shift_bias(classifier: Classifier, examples: Examples, positive: int, offset: float) -> None:
    """Add `offset` to the logit of a class, for every input, in the bias of the last linear layer.

    Raises `UsageError` for an architecture whose logits do not follow that bias.
    """
    x = examples.batch(torch.arange(min(len(examples), 8), device=examples.labels_N.device)).x
    before_BK = classifier(x)
    heads = [
        module
        for module in classifier.modules()
        if isinstance(module, nn.Linear) and module.out_features == classifier.classes
    ]
    if heads and heads[-1].bias is not None:
        heads[-1].bias[positive] += offset
        before_BK[:, positive] += offset
        if torch.allclose(classifier(x), before_BK, rtol=_EXACT, atol=_EXACT):
            return
        heads[-1].bias[positive] -= offset
    raise UsageError(
        f"architecture {classifier.architecture!r} does not end in a linear layer with a bias to shift",
        where="recipe.fairness",
        remedy="choose another architecture, or a method that works while training",
    )
