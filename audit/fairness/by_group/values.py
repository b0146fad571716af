"""A metric of one group: its value, its interval at any confidence, and whether it may be compared.

A group too small to say anything, or not recorded at all, is reported and left out of comparisons, with
the reason. Undefined is None: a group without positives has no true positive rate, not one of zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from raiaudit.audit.fairness.counting.cells import UNKNOWN
from raiaudit.audit.statistics.intervals import Interval, auc_delong, average, wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["GroupValue", "area", "macro_recall", "proportion"]


@dataclass(frozen=True, slots=True)
class GroupValue:
    """`interval(confidence)` bounds `value`, which `n` examples gave.

    `left_out` says why the group is no part of comparisons, or why the value is undefined; None if neither.
    """

    group: str
    value: float | None
    n: int
    interval: Callable[[float], Interval]
    left_out: str | None


def _left_out(group: str, n: int, minimum: int, condition: str) -> str | None:
    if n == 0:
        return f"no {condition}"
    if group == UNKNOWN:
        return "not recorded"
    if n < minimum:
        return f"only {n} of {minimum} needed {condition}"
    return None


def proportion(group: str, successes: int, n: int, *, minimum: int, condition: str) -> GroupValue:
    """`successes` of the `n` examples that meet `condition`, with Wilson's interval."""
    return GroupValue(
        group,
        successes / n if n else None,
        n,
        partial(wilson, successes, n),
        _left_out(group, n, minimum, condition),
    )


def macro_recall(
    group: str, right_K: Sequence[int], n_K: Sequence[int], *, classes: Sequence[str], minimum: int
) -> GroupValue:
    """The mean recall over classes; undefined where one of them does not occur in the group."""
    total = sum(n_K)
    absent = [name for name, n in zip(classes, n_K, strict=True) if n == 0]
    if absent:
        reason = f"no examples of class {', '.join(absent[:5])}"
        return GroupValue(group, None, total, lambda _: Interval(0.0, 1.0), reason)
    recalls = [right / n for right, n in zip(right_K, n_K, strict=True)]

    def interval(confidence: float) -> Interval:
        limits = [wilson(right, n, confidence) for right, n in zip(right_K, n_K, strict=True)]
        return average(recalls, limits)

    return GroupValue(
        group, sum(recalls) / len(recalls), total, interval, _left_out(group, total, minimum, "examples")
    )


def area(
    group: str,
    scores_pos: NDArray[np.float64],
    scores_neg: NDArray[np.float64],
    *,
    minimum: int,
    sides: tuple[str, str],
) -> GroupValue:
    """The area under the ROC curve within the group, with DeLong's interval; `n` is the smaller side."""
    n, condition = min((len(scores_pos), sides[0]), (len(scores_neg), sides[1]))

    def interval(confidence: float) -> Interval:
        estimate = auc_delong(scores_pos, scores_neg, confidence)
        return Interval(estimate.low, estimate.high)

    value = auc_delong(scores_pos, scores_neg).value
    return GroupValue(group, value, n, interval, _left_out(group, n, minimum, condition))
