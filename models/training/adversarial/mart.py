"""MART (Wang et al., ICLR 2020, OpenReview rklOg6EFwS): what the model errs on already weighs more.

    loss = BCE(p', y) + β · mean KL(p ‖ p') · (1 − p_y)
    BCE(p', y) = −log p'_y − log(1 − max_{k≠y} p'_k)

where p is the answer to the clean input and p' to the perturbed one, found by PGD on the cross-entropy.
The gradient goes through both, as in the authors' code; their floors under the logarithms (1e-4 and less)
are not needed here: 1 − p'_k is taken as a sum of the other probabilities, in logarithms.

Shapes: logits_BK at the clean inputs, moved_BK at the perturbed ones, y_B int64 labels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.models.training.adversarial.trades import divergences

__all__ = ["boosted_cross_entropy", "mart"]


def boosted_cross_entropy(moved_BK: Tensor, y_B: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy and the margin term; label smoothing concerns the former."""
    rival_B1 = moved_BK.scatter(1, y_B[:, None], -torch.inf).argmax(1, keepdim=True)
    rest_BK = moved_BK.scatter(1, rival_B1, -torch.inf)
    margin = moved_BK.logsumexp(1) - rest_BK.logsumexp(1)
    return functional.cross_entropy(moved_BK, y_B, label_smoothing=label_smoothing) + margin.mean()


def mart(
    logits_BK: Tensor, moved_BK: Tensor, y_B: Tensor, *, beta: float, label_smoothing: float = 0.0
) -> Tensor:
    """The loss."""
    true_B = logits_BK.softmax(1).gather(1, y_B[:, None])[:, 0]
    stable = divergences(logits_BK, moved_BK) * (1 - true_B)
    return boosted_cross_entropy(moved_BK, y_B, label_smoothing=label_smoothing) + beta * stable.mean()
