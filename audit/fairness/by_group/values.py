"""A metric of one group: its value, its interval at any confidence, and whether it may be compared.

A group too small to say anything, or not recorded at all, is reported and left out of comparisons, with
the reason. Undefined is None: a group without positives has no true positive rate, not one of zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from scipy.special import ndtri, stdtrit

from raiaudit.audit.fairness.counting.cells import UNKNOWN
from raiaudit.audit.statistics.intervals import Interval, auc_delong, average, wilson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["GroupValue", "area", "left_out", "macro_recall", "mean_of_rates", "odds", "proportion"]


@dataclass(frozen=True, slots=True)
class GroupValue:
    """`interval(confidence)` bounds `value`, which `n` examples gave.

    `left_out` says why the group is no part of comparisons, or why the value is undefined; None if neither.
    `counts`, of a proportion alone, are its successes and trials: what tests and ratios are made of.
    """

    group: str
    value: float | None
    n: int
    interval: Callable[[float], Interval]
    left_out: str | None
    counts: tuple[float, float] | None = None


def left_out(group: str, n: int, effective: float, minimum: int, condition: str) -> str | None:
    """Why n examples, worth so many independent ones, are undefined or not compared; None if they are."""
    if n == 0 or effective == 0:
        return f"no {condition}"
    if group == UNKNOWN:
        return "not recorded"
    if effective < minimum:
        worth = "" if effective == n else f" worth {effective:.1f} independent ones"
        return f"only {n} of {minimum} needed {condition}{worth}"
    return None


def proportion(
    group: str,
    successes: float,
    trials: float,
    *,
    minimum: int,
    condition: str,
    examples: int | None = None,
    freedom: float = math.inf,
) -> GroupValue:
    """`successes` of the `trials` that meet `condition`, with Wilson's interval.

    With weights or clusters both are effective numbers, `examples` is the number of rows, and `freedom` the
    degrees of freedom of the variance.
    """
    n = round(trials) if examples is None else examples
    return GroupValue(
        group,
        successes / trials if trials else None,
        n,
        partial(_wilson, successes, trials, freedom),
        left_out(group, n, trials, minimum, condition),
        (successes, trials),
    )


def _wilson(successes: float, trials: float, freedom: float, confidence: float) -> Interval:
    if freedom == math.inf:
        return wilson(successes, trials, confidence)
    if freedom < 1:
        return Interval(0.0, 1.0)
    upper = (1 + confidence) / 2
    shrink = float(ndtri(upper) / stdtrit(freedom, upper)) ** 2
    return wilson(successes * shrink, trials * shrink, confidence)


def mean_of_rates(group: str, parts: Sequence[GroupValue], *, together: bool) -> GroupValue:
    """The unweighted mean of rates of one group; undefined, or left out, where one of them is.

    Rates of different examples are independent and their distances to their limits add in squares;
    `together`, where the same people are behind them, they add as they are, which is wider.
    """
    n = min(part.n for part in parts)
    reasons = list(dict.fromkeys(part.left_out for part in parts if part.left_out is not None))
    known = [part.value for part in parts if part.value is not None]
    if len(known) < len(parts):
        missing = [part.left_out or "" for part in parts if part.value is None]
        return GroupValue(group, None, n, lambda _: Interval(0.0, 1.0), "; ".join(dict.fromkeys(missing)))

    def interval(confidence: float) -> Interval:
        limits = [part.interval(confidence) for part in parts]
        if together:
            return Interval(*(sum(ends) / len(parts) for ends in zip(*limits, strict=True)))
        return average(known, limits)

    return GroupValue(group, sum(known) / len(known), n, interval, "; ".join(reasons) or None)


def macro_recall(
    group: str,
    right_K: Sequence[float],
    n_K: Sequence[float],
    *,
    classes: Sequence[str],
    minimum: int,
    examples: int | None = None,
    condition: str = "examples of class",
    together: bool = False,
) -> GroupValue:
    """The mean over classes of right / n, undefined where one of them has n = 0 in the group.

    `examples` rows are behind effective counts; for `together` see `mean_of_rates`.
    """
    total = sum(n_K)
    rows = round(total) if examples is None else examples
    absent = [name for name, n in zip(classes, n_K, strict=True) if n == 0]
    if absent:
        reason = f"no {condition} {', '.join(absent[:5])}"
        return GroupValue(group, None, rows, lambda _: Interval(0.0, 1.0), reason)
    parts = [
        proportion(group, right, n, minimum=0, condition=condition)
        for right, n in zip(right_K, n_K, strict=True)
    ]
    out = left_out(group, rows, total, minimum, "examples")
    return replace(mean_of_rates(group, parts, together=together), n=rows, left_out=out)


def odds(share: GroupValue) -> GroupValue:
    """k / (n − k) of a proportion k / n, its limits those of the proportion; undefined for n = k."""

    def of(rate: float) -> float:
        return rate / (1 - rate)

    def interval(confidence: float) -> Interval:
        low, high = share.interval(confidence)
        return Interval(of(low), of(high))

    if share.value is None or share.value == 1:
        reason = share.left_out if share.value is None else "no false positive to divide by"
        return replace(share, value=None, interval=interval, left_out=reason, counts=None)
    return replace(share, value=of(share.value), interval=interval, counts=None)


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
    return GroupValue(group, value, n, interval, left_out(group, n, n, minimum, condition))
