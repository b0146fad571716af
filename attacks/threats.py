"""Threat models: what the adversary knows, and how far an input may be moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Knowledge", "Norm", "ThreatModel"]

Norm = Literal["linf", "l2", "l1", "l0", "spatial"]
Knowledge = Literal["white", "score", "label"]


@dataclass(frozen=True, slots=True)
class ThreatModel:
    """A ball of radius `eps` in `norm` around the clean input, in the units of the input space.

    For text `eps` is the fraction of words that may change (norm "l0"); for tables it is the summed
    cost of the changed columns (norm "l1"), the largest change in units of each column's range
    ("linf") or the number of changed columns ("l0"). For images "spatial" is the size of a rotation and
    shift, in units of 30° and a tenth of the side. `budget` caps the queries per example (None: the
    attack's own schedule).
    """

    norm: Norm
    eps: float
    knowledge: Knowledge = "white"
    budget: int | None = None

    def __post_init__(self) -> None:
        if not self.eps >= 0:
            raise ValueError(f"eps must be a number ≥ 0, got {self.eps!r}")
