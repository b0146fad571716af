"""Where to cut a score, for each group or for all, so that groups are treated alike at the least cost.

After M. Hardt, E. Price, N. Srebro, Equality of opportunity in supervised learning, NeurIPS 2016,
arXiv:1610.02413, without its randomised thresholds: an example is always treated the same, and the result
stays a function that can be attacked, explained and audited. A cut between two scores reaches every rate of
one criterion to within one example of the smallest group; what only chance could reach is both rates of
equalized odds where the groups' ROC curves do not meet. Here then the least error within the bound counts.

Rates that lie within `bound` of each other lie in a window [c, c + bound], where c may be taken as the
smallest of them. So every rate of every group is tried as c; in a window each group takes its best cut, by
a table of range maxima. That is an exact search in O(n log n), O(n²) for the two rates of equalized odds.

Shapes: N examples, T cuts of a group, the highest first: cut k selects k examples or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.models.recipe import Criterion

__all__ = ["Cuts", "disparities", "least_disparity", "within_bound"]

_MOST = {"demographic_parity": 1 << 16, "equal_opportunity": 1 << 16, "equalized_odds": 1 << 10}
"""Cuts of a group that are tried; of more, as many, evenly spaced by rank."""
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Cuts:
    """Thresholds of one group's scores, and how many true and false positives lie above each."""

    threshold_T: NDArray[np.float64]
    true_T: NDArray[np.int64]
    false_T: NDArray[np.int64]

    @classmethod
    def of(cls, score_N: NDArray[np.float64], positive_N: NDArray[np.bool_], criterion: Criterion) -> Cuts:
        """Midway between distinct scores, and beyond both ends."""
        order_N = np.argsort(-score_N, kind="stable")
        sorted_N, y_N = score_N[order_N], positive_N[order_N]
        last = np.flatnonzero(np.append(np.diff(sorted_N) != 0, True))  # of examples with one score
        inner = (sorted_N[last[:-1]] + sorted_N[last[:-1] + 1]) / 2
        threshold_T = np.concatenate([[sorted_N[0] + 1], inner, [sorted_N[-1] - 1]])
        true_T = np.concatenate([[0], np.cumsum(y_N)[last]])
        false_T = np.concatenate([[0], np.cumsum(~y_N)[last]])
        most = _MOST[criterion]
        kept = np.unique(
            np.linspace(0, len(threshold_T) - 1, min(most, len(threshold_T))).round().astype(int)
        )
        return cls(threshold_T[kept], true_T[kept].astype(np.int64), false_T[kept].astype(np.int64))

    @classmethod
    def at(
        cls, score_N: NDArray[np.float64], positive_N: NDArray[np.bool_], threshold_T: NDArray[np.float64]
    ) -> Cuts:
        """At given thresholds, from high to low."""
        above_T = [
            len(part) - np.searchsorted(np.sort(part), threshold_T, side="right")
            for part in (score_N[positive_N], score_N[~positive_N])
        ]
        return cls(threshold_T, above_T[0].astype(np.int64), above_T[1].astype(np.int64))

    @property
    def right(self) -> NDArray[np.int64]:
        """Examples on the right side of each cut."""
        right_T: NDArray[np.int64] = self.true_T + self.false_T[-1] - self.false_T
        return right_T

    def rates(self, criterion: Criterion) -> list[NDArray[np.float64]]:
        """What shall be alike, at each cut; each rises with T. A group without a class has rate 0 there."""
        share = {
            "demographic_parity": [self.true_T + self.false_T],
            "equal_opportunity": [self.true_T],
            "equalized_odds": [self.true_T, self.false_T],
        }[criterion]
        return [part_T / max(1, part_T[-1]) for part_T in share]


def within_bound(groups: Sequence[Cuts], criterion: Criterion, bound: float) -> list[int]:
    """The cut of each group with which most examples are right, and no rates differ by more than `bound`.

    There always is one: to select nobody.
    """
    rates = [_two(cuts.rates(criterion)) for cuts in groups]
    tables = [_range_maxima(cuts.right) for cuts in groups]
    firsts, seconds_W = (np.unique(np.concatenate(same)) for same in zip(*rates, strict=True))
    best, found = -1, (0.0, 0.0)
    for first in firsts:
        right_W = np.zeros(len(seconds_W), dtype=np.int64)
        possible_W = np.ones(len(seconds_W), dtype=bool)
        for of_group, table in zip(rates, tables, strict=True):
            low_W, high_W = _window(of_group, first, seconds_W, bound)
            filled_W = low_W < high_W
            possible_W &= filled_W
            right_W += _maximum(table, np.where(filled_W, low_W, 0), np.where(filled_W, high_W, 1))
        right_W[~possible_W] = -1
        place = int(right_W.argmax())
        if right_W[place] > best:
            best, found = int(right_W[place]), (float(first), float(seconds_W[place]))
    chosen = []
    for of_group, cuts in zip(rates, groups, strict=True):
        low, high = (int(ends[0]) for ends in _window(of_group, found[0], np.array([found[1]]), bound))
        chosen.append(low + int(cuts.right[low:high].argmax()))
    return chosen


def disparities(groups: Sequence[Cuts], criterion: Criterion) -> NDArray[np.float64]:
    """The widest gap between two groups at each cut, all groups being cut at the same thresholds."""
    rates = [cuts.rates(criterion) for cuts in groups]
    gaps = [np.ptp(np.stack(same), axis=0) for same in zip(*rates, strict=True)]
    widest_T: NDArray[np.float64] = np.max(gaps, axis=0)
    return widest_T


def least_disparity(groups: Sequence[Cuts], criterion: Criterion, fewest: int) -> int:
    """The shared cut of least disparity with which `fewest` or more are right; the best of equals."""
    right_T = np.sum([cuts.right for cuts in groups], axis=0)
    widest_T = np.where(right_T >= fewest, disparities(groups, criterion), np.inf)
    return int(np.lexsort((-right_T, widest_T))[0])


def _two(rates: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A criterion of one rate has another one that is always alike."""
    return (rates[0], rates[1]) if len(rates) == 2 else (np.zeros(len(rates[0])), rates[0])


def _window(
    rates: tuple[NDArray[np.float64], NDArray[np.float64]],
    first: float,
    seconds_W: NDArray[np.float64],
    bound: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cuts, from low up to high, whose rates are at most `bound` above `first` and above each second."""
    low = np.searchsorted(rates[0], first - _ROUNDING)
    high = np.searchsorted(rates[0], first + bound + _ROUNDING, side="right")
    low_W = np.searchsorted(rates[1], seconds_W - _ROUNDING)
    high_W = np.searchsorted(rates[1], seconds_W + bound + _ROUNDING, side="right")
    return np.maximum(low_W, low), np.minimum(high_W, high)


def _range_maxima(values_T: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Level j holds the largest of 2^j values from each place on."""
    table = [values_T]
    while 2 << len(table) - 1 <= len(values_T):
        half = 1 << len(table) - 1
        table.append(np.maximum(table[-1][:-half], table[-1][half:]))
    return table


def _maximum(
    table: list[NDArray[np.int64]], low_W: NDArray[np.int64], high_W: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The largest value of each range from low up to high, which are not empty."""
    found_W = np.zeros(len(low_W), dtype=np.int64)
    level_W = np.log2(high_W - low_W + 0.5).astype(np.int64)
    for level in np.unique(level_W):
        here = level_W == level
        left, right = low_W[here], high_W[here] - (1 << int(level))
        found_W[here] = np.maximum(table[level][left], table[level][right])
    return found_W
