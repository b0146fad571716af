"""What every certificate takes and returns.

Shapes: x_B… a batch of inputs (images B×C×H×W, encoded table rows B×W). Radii are in the units of the
input space, in the certificate's norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from raiaudit.attacks.evasion.base import LogitsOf
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Norm

__all__ = ["ABSTAINED", "Certificate", "Certified"]

ABSTAINED = -1


@dataclass(frozen=True, slots=True)
class Certified:
    """One row per example.

    `predicted_B` int64, the class the certificate is about, or `ABSTAINED`; `radius_B` float64, within
    which the prediction provably does not change (0: nothing is promised).
    """

    predicted_B: Tensor
    radius_B: Tensor


class Certificate(Protocol):
    """Hyper-parameters live in the constructor, data in the call; randomness is keyed by (seed, id)."""

    @property
    def name(self) -> str:
        """Its name in the catalogue; part of the key of its random numbers."""
        ...

    @property
    def norm(self) -> Norm:
        """The norm of its radii."""
        ...

    def __call__(
        self,
        classifier: LogitsOf,
        x: Tensor,
        *,
        space: InputSpace,
        seed: int,
        ids: Sequence[int] | Tensor | None = None,
    ) -> Certified:
        """Certify every example. Raises `CapabilityError` for a classifier it cannot reason about."""
        ...
