"""The fast gradient sign method (Goodfellow et al., arXiv:1412.6572) in L∞, and its L2 form.

One step of length eps along the steepest direction of the cross-entropy at the clean input: two forwards
(the clean one gives the gradient) and one backward.
Shapes: x images B×C×H×W, y_B int64, eps in the units of x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from raiaudit.attacks.evasion.engine.region import Region
from raiaudit.attacks.evasion.engine.rules import Rule
from raiaudit.attacks.evasion.images.attack import ImageAttack
from raiaudit.attacks.evasion.images.pgd import Ascent
from raiaudit.attacks.threats import Norm

__all__ = ["FGSM"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FGSM(ImageAttack):
    """One steepest step to the boundary of the ball; deterministic."""

    name: ClassVar[str] = "fgsm"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2"})

    def rules(self, region: Region, *, seed: int) -> Sequence[Rule]:
        """The one step, whose first look is the clean one."""
        return [Ascent(self.name, region, steps=1, step_size=region.eps)]
