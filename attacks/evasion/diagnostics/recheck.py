"""Adversarial inputs looked at again, by other means than those that made them.

Norm and box are recomputed in float64 from the returned values alone; the label is asked for once more, in
batches of a few rows in another order. Shapes: x B×…, y_B int64.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from raiaudit.attacks.evasion.base import LogitsOf, prepared
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import ThreatModel

__all__ = ["outside", "violations"]

_FEW = 7  # rows in a batch: a size no attack uses


def outside(clean: np.ndarray, adversarial: np.ndarray, threat: ThreatModel, space: ImageBox) -> np.ndarray:
    """Which rows lie beyond eps, leave the box, or are not numbers; bool B, computed in float64."""
    x0_BD, x_BD = (rows.reshape(len(rows), -1).astype(np.float64) for rows in (clean, adversarial))
    order = {"linf": np.inf, "l2": 2, "l1": 1, "l0": 0}[threat.norm]
    far_B = ~(np.linalg.norm(x_BD - x0_BD, ord=order, axis=1) <= threat.eps)
    valid_BD = (x_BD >= space.low) & (x_BD <= space.high)
    found: np.ndarray = far_B | ~valid_BD.all(1)
    return found


def violations(
    classifier: LogitsOf,
    clean: Tensor,
    adversarial: Tensor,
    y_B: Tensor,
    threat: ThreatModel,
    space: ImageBox,
) -> Tensor:
    """Which adversarial inputs are out of bounds, or are classified correctly after all; bool B."""
    out_B = outside(clean.cpu().numpy(), adversarial.cpu().numpy(), threat, space)
    order = torch.arange(len(y_B), device=y_B.device).flip(0)
    right_B = torch.zeros_like(y_B, dtype=torch.bool)
    with prepared(classifier), torch.no_grad():
        for index in torch.split(order, _FEW):
            logits = classifier(adversarial[index])
            right_B[index] = (logits.argmax(1) == y_B[index]) & ~logits.isnan().any(1)
    return right_B | torch.from_numpy(out_B).to(y_B.device)
