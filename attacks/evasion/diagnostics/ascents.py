"""Rules of the battery: an ascent that remembers its losses, and one whose loss cannot saturate.

The trace gives the indicator "incomplete optimisation" of Pintor et al. (arXiv:2106.09947): how much of
the rise of the best loss so far, scaled to [0, 1], came in the last ten steps.
Rescaling the logits undoes a saturated cross-entropy (Carlini & Wagner on defensive distillation,
arXiv:1607.04311).
Legend: A active rows, B the caller's rows, K classes, T looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks.evasion.engine.balls import per_row
from raiaudit.attacks.evasion.engine.rows import Rows
from raiaudit.attacks.evasion.images.pgd import Ascent

__all__ = ["Recorded", "Rescaled", "Trace"]

_LAST = 10
_RANGE = 10.0  # of the rescaled logits: errors and right answers both have visible probabilities


class Trace:
    """The loss of each of the caller's rows at each look; NaN after it left."""

    def __init__(self, rows: int, looks: int, device: torch.device) -> None:
        self.loss_BT = torch.full((rows, looks), torch.nan, device=device)
        self._looks_B = torch.zeros(rows, dtype=torch.int64, device=device)

    def note(self, index_A: Tensor, loss_A: Tensor) -> None:
        """One more look at these rows."""
        self.loss_BT[index_A, self._looks_B[index_A]] = loss_A.detach()
        self._looks_B[index_A] += 1

    def late_gain(self) -> Tensor:
        """Share of the rise that came in the last ten looks, float B; 0 for rows that left earlier."""
        stayed_B = ~self.loss_BT[:, -1].isnan()
        loss_BT = self.loss_BT.nan_to_num(nan=0.0)
        best_BT = loss_BT.cummax(1).values
        rise_B = best_BT[:, -1] - loss_BT.amin(1)
        late_B = best_BT[:, -1] - best_BT[:, -min(_LAST, best_BT.shape[1])]
        return torch.where(stayed_B & (rise_B > 0), late_B / rise_B, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded(Ascent):
    """PGD that writes its losses into `trace`; for one try, whose rows are looked at one after another."""

    trace: Trace = field(compare=False)

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """Cross-entropy, noted."""
        loss_A = functional.cross_entropy(logits_AK, rows.y_A, reduction="none")
        self.trace.note(rows.index_A, loss_A)
        return loss_A


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescaled(Ascent):
    """PGD on the logits divided by their range at the clean input."""

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """Cross-entropy of the rescaled logits."""
        range_A = (rows.clean_AK.amax(1) - rows.clean_AK.amin(1)).clamp_min(torch.finfo(torch.float32).tiny)
        scaled_AK = logits_AK * (_RANGE / per_row(range_A, logits_AK))
        return functional.cross_entropy(scaled_AK, rows.y_A, reduction="none")
