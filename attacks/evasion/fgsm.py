"""The fast gradient sign method (Goodfellow et al., arXiv:1412.6572) in L∞, and its L2 form.

One step of length eps along the steepest direction of the cross-entropy at the clean input: two forwards
(the clean one gives the gradient) and one backward.
Shapes: x images B×C×H×W, y_B int64, eps in the units of x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from raiaudit.attacks.evasion import engine
from raiaudit.attacks.evasion.base import AttackResult, LogitsOf, Modality
from raiaudit.attacks.evasion.pgd import Ascent
from raiaudit.attacks.evasion.region import region_of
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel

__all__ = ["FGSM"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FGSM:
    """One steepest step to the boundary of the ball."""

    name: ClassVar[str] = "fgsm"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2"})
    modality: ClassVar[Modality] = "image"
    knowledge: ClassVar[Knowledge] = "white"

    batch_size: int = 256

    def __call__(
        self,
        classifier: LogitsOf,
        x: Tensor,
        y_B: Tensor,
        threat: ThreatModel,
        *,
        space: InputSpace,
        seed: int,
        ids: Sequence[int] | Tensor | None = None,
    ) -> AttackResult:
        """Attack images; deterministic. Errors as in `region_of` and `engine.run`."""
        region = region_of(self, x, y_B, threat, space)
        rule = Ascent(region, steps=1, step_size=threat.eps) if threat.eps else engine.Clean()
        ids_B = engine.example_ids(ids, len(x), x.device)
        return engine.run(
            [rule],
            classifier,
            x,
            y_B,
            region=region,
            ids_B=ids_B,
            batch_size=self.batch_size,
            budget=threat.budget,
        )
