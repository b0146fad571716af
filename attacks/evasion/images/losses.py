"""What gradient attacks ascend, row by row.

The difference of logits ratio (DLR) of arXiv:2003.01690 divides the margin by a spread of the logits, so that
neither the scale nor the shift of the logits moves it: where the cross-entropy of a saturated model
underflows to a zero gradient, DLR still points the way. Targeted DLR is defined from four classes on; with
three the spread is that of the top logit above the mean of the others (above the lowest, the loss towards
the lowest would be constant), and with two the plain margin is all there is.

Legend: A rows, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks.evasion.engine.rules import margin

__all__ = ["cross_entropy", "dlr", "targeted_dlr"]


def cross_entropy(logits_AK: Tensor, y_A: Tensor) -> Tensor:
    """Cross-entropy with the label, loss_A."""
    return functional.cross_entropy(logits_AK, y_A, reduction="none")


def dlr(logits_AK: Tensor, y_A: Tensor) -> Tensor:
    """−(z_y − max_{i≠y} z_i) / (z_π1 − z_π3), loss_A; π sorts the logits from high to low."""
    lead_A = margin(logits_AK, y_A)
    if logits_AK.shape[1] < 3:
        return -lead_A
    top = logits_AK.topk(3, dim=1).values
    return -lead_A / _nonzero(top[:, 0] - top[:, 2])


def targeted_dlr(logits_AK: Tensor, y_A: Tensor, target_A: Tensor) -> Tensor:
    """−(z_y − z_t) / (z_π1 − (z_π3 + z_π4) / 2), loss_A."""
    classes = logits_AK.shape[1]
    pair = logits_AK.gather(1, y_A[:, None]) - logits_AK.gather(1, target_A[:, None])
    lead_A = pair.squeeze(1)
    if classes == 2:
        return -lead_A
    top = logits_AK.topk(min(classes, 4), dim=1).values
    return -lead_A / _nonzero(top[:, 0] - (top[:, -2] + top[:, -1]) / 2)


def _nonzero(spread_A: Tensor) -> Tensor:
    return spread_A.clamp_min(torch.finfo(spread_A.dtype).tiny)
