"""How an extreme changed between two models asked about the same people: the widest gap, the worst group.

The extreme is max_i a_i in one model and max_j b_j in the other, each a combination of shares of several
groups of people, and which one is the largest may differ. As max_i a_i − max_j b_j = max_i min_j (a_i − b_j)
rises with every a_i − b_j, intervals that hold for all of these together give one for it:
[max_i min_j low_ij, max_i min_j high_ij]. No winner has to be picked first, so none is picked twice.

Within a group the outcomes of the two models are paired, groups are of different people. One success and one
failure are added for each model in each group (Agresti and Caffo, Am. Stat. 54 (2000),
doi:10.1080/00031305.2000.10474560), in all four combinations alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from raiaudit.audit.statistics.intervals import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Paired", "Term", "change_of_largest"]


class Paired(NamedTuple):
    """Counts of one group: its people, the successes of either model, and of both at once."""

    n: int
    a: int
    b: int
    both: int

    @classmethod
    def of(cls, a_N: NDArray[np.bool_], b_N: NDArray[np.bool_]) -> Paired:
        """From outcomes in one order of people."""
        return cls(len(a_N), int(a_N.sum()), int(b_N.sum()), int((a_N & b_N).sum()))

    @property
    def shares(self) -> tuple[float, float]:
        """Of either model, with the added outcomes."""
        return (self.a + 1) / (self.n + 2), (self.b + 1) / (self.n + 2)

    def variance(self, alpha: float, beta: float) -> float:
        """Of α·(share of a) − β·(share of b)."""
        a, b = self.shares
        both = (self.both + 0.5) / (self.n + 2)
        mean = alpha * a - beta * b
        return (alpha * alpha * a + beta * beta * b - 2 * alpha * beta * both - mean * mean) / (self.n + 2)


class Term(NamedTuple):
    """One a_i or b_j: its value, and its derivative by the share of each group that it is about."""

    value: float
    slopes: Mapping[Any, float]


def change_of_largest(
    a: Sequence[Term],
    b: Sequence[Term],
    people: Mapping[Any, Paired],
    *,
    comparisons: float,
    confidence: float,
) -> Interval:
    """max a − max b; `comparisons` of the differences a_i − b_j are not each other's mirror."""
    z = float(ndtri(1 - (1 - confidence) / (2 * comparisons)))
    low_IJ, high_IJ = np.empty((len(a), len(b))), np.empty((len(a), len(b)))
    for i, ours in enumerate(a):
        for j, base in enumerate(b):
            groups = ours.slopes.keys() | base.slopes.keys()
            variance = sum(people[x].variance(ours.slopes.get(x, 0), base.slopes.get(x, 0)) for x in groups)
            half = z * math.sqrt(max(0.0, variance))
            low_IJ[i, j], high_IJ[i, j] = (ours.value - base.value + side * half for side in (-1, 1))
    return Interval(float(low_IJ.min(1).max()), float(high_IJ.min(1).max()))
