"""What one model says about the points of a pool and of the population.

φ = log p_y − log Σ_{k≠y} p_k in evaluation mode, the mean over the queries: the input as it is, and its
mirror image where the recipe's augmentation mirrors (Carlini et al., arXiv:2112.03570, section VI). Of the
target also, for the input as it is: the loss, and how sure it is (`Uncertainty` of attacks/inference).

Shapes: N points, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from raiaudit.models.data.dataset import take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.attacks.inference import Uncertainty
    from raiaudit.audit.subject import Subject
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.data.dataset import Split

    Floats = NDArray[np.float64]

__all__ = ["Outputs", "mirrors", "outputs_of", "phi_of"]

_BATCH = 512


@dataclass(frozen=True, slots=True)
class Outputs:
    """φ and loss a point, float64, and the target's uncertainty."""

    phi_N: Floats
    loss_N: Floats
    uncertainty: Uncertainty


def mirrors(subject: Subject) -> bool:
    """Whether training saw mirror images, so that the adversary asks about them too."""
    recipe = subject.record.recipe
    return recipe is not None and recipe.augment == "crop-flip" and subject.dataset.modality == "image"


def phi_of(classifier: Classifier, points: Split, device: str, *, mirror: bool) -> Floats:
    """φ_N, the mean over the queries."""
    from raiaudit.attacks.inference import phi

    asked = _logits(classifier, points, device, mirror)
    phi_QN = np.array([phi(logits_NK, points.labels) for logits_NK in asked])
    return np.asarray(phi_QN.mean(0))


def outputs_of(classifier: Classifier, points: Split, device: str, *, mirror: bool) -> Outputs:
    """φ over the queries, and what the answer to the input as it is tells."""
    from raiaudit.attacks.inference import phi, uncertainty

    logits_QNK, y_N = _logits(classifier, points, device, mirror), points.labels
    phi_QN = np.array([phi(logits_NK, y_N) for logits_NK in logits_QNK])
    return Outputs(phi_QN.mean(0), np.logaddexp(0.0, -phi_QN[0]), uncertainty(logits_QNK[0], y_N))


def _logits(classifier: Classifier, points: Split, device: str, mirror: bool) -> list[NDArray[np.float32]]:
    """logits_NK of each query."""
    import torch

    classifier = classifier.eval().to(device)
    queries: list[list[torch.Tensor]] = [[], []] if mirror else [[]]
    with torch.no_grad():
        for start in range(0, len(points), _BATCH):
            inputs = classifier.encode(take(points.inputs, slice(start, start + _BATCH))).to(device)
            queries[0].append(classifier(inputs).float().cpu())
            if mirror:
                queries[1].append(classifier(inputs.flip(-1)).float().cpu())
    return [torch.cat(parts).numpy() for parts in queries]
