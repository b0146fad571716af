"""How well a membership score tells members from non-members, with intervals that hold.

Definitions of Carlini et al. (arXiv:2112.03570): true-positive rate at a small false-positive rate, and
the ROC on log axes; membership advantage TPR − FPR of Yeom et al. (arXiv:1709.01604). A threshold is
chosen on one half of the examples and judged on others, never where it was chosen.

Half of the non-members do not know the threshold of a false-positive rate: order statistics bound it, free of
distribution, and the interval of the TPR joins what that may change with the luck of the members
(MOVER, Zou and Donner, doi:10.1002/sim.3095). Of 1,000 members, N(1, 1), and 2,000 non-members, N(0, 1), the
members' luck alone covers the TPR at 1 % FPR in 60 % of cases instead of 95; both together in 98 %.

Shapes: in_M scores of members, out_N of non-members; larger means "more likely a member".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import polars as pl
from pydantic import AfterValidator
from scipy.special import bdtr, bdtrc

from raiaudit.audit.statistics.intervals import Interval, clopper_pearson, newcombe, share_with_luck
from raiaudit.models.numbers import Fractions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

__all__ = [
    "Advantage",
    "FalsePositiveRates",
    "Threshold",
    "TprAtFpr",
    "advantage",
    "histogram",
    "roc",
    "smallest_fpr",
    "threshold_at_fpr",
    "tpr_at_fpr",
    "tpr_interval",
    "tpr_of_possible_thresholds",
]


def _rates(given: tuple[float, ...]) -> tuple[float, ...]:
    if any(not 0 < rate < 1 for rate in given):
        raise ValueError("a false-positive rate lies strictly between 0 and 1")
    return tuple(sorted(set(given), reverse=True))


FalsePositiveRates = Annotated[Fractions, AfterValidator(_rates)]
"""An option of a check: each strictly between 0 and 1; the largest first, none twice."""

_FALSE_POSITIVES = 10  # fewer expected ones leave the threshold to luck
_TAIL = 0.025  # on each side, of the thresholds that half of the non-members could have set
_ROC_POINTS = 200
_BINS = 30


@dataclass(frozen=True, slots=True)
class Threshold:
    """A score is an alarm above `value`; `judges` are the non-members (positions) that did not set it.

    The loosest that accuses no more than the rate asked for lies from `loosest` to `strictest`, at 95 %.
    """

    value: float
    judges: NDArray[np.intp]
    loosest: float
    strictest: float


def smallest_fpr(non_members: int) -> float | None:
    """The smallest false-positive rate whose threshold is not luck; None where there is none below 1."""
    setters = non_members // 2
    return _FALSE_POSITIVES / setters if setters > _FALSE_POSITIVES else None


def threshold_at_fpr(out_N: Scores, fpr: float, rng: np.random.Generator) -> tuple[Threshold | None, str]:
    """(the threshold that half of the non-members set, ""), or (None, why it is refused)."""
    order = rng.permutation(len(out_N))
    setters, judges = order[: len(out_N) // 2], order[len(out_N) // 2 :]
    expected = fpr * len(setters)
    if expected < _FALSE_POSITIVES - 1e-9:
        needed = math.ceil(2 * _FALSE_POSITIVES / fpr)
        return None, (
            f"of the {len(setters)} non-members that set the threshold {expected:.3g} would be false "
            f"positives; {_FALSE_POSITIVES} are needed: a pool of {needed} non-members"
        )
    descending = np.sort(out_N[setters])[::-1]
    return Threshold(
        float(descending[int(expected + 1e-9)]), judges, *_possible_thresholds(descending, fpr)
    ), ""


def _possible_thresholds(descending: Scores, fpr: float) -> tuple[float, float]:
    """(loosest, strictest): the rate of alarms above the k-th of n scores is Beta(k, n − k + 1).

    With ties it is stochastically smaller above that score, and larger from it on: any threshold below
    `loosest` accuses too many.
    """
    n, k = len(descending), np.arange(1, len(descending) + 1)
    loose = np.flatnonzero(bdtrc(k - 1, n, fpr) <= _TAIL)
    strict = np.flatnonzero(bdtr(k - 1, n, fpr) <= _TAIL)
    loosest = float(descending[loose[0]]) if len(loose) else -math.inf
    return loosest, float(descending[strict[-1]]) if len(strict) else math.inf


def tpr_interval(in_M: Scores, threshold: Threshold) -> Interval:
    """Of the TPR at the rate `threshold` was set for, at 95 %: the threshold's luck and the members'."""
    hits = int((in_M > threshold.value).sum())
    members, set_by = clopper_pearson(hits, len(in_M)), tpr_of_possible_thresholds(in_M, threshold)
    return share_with_luck(hits / len(in_M), members, set_by)


def tpr_of_possible_thresholds(in_M: Scores, threshold: Threshold) -> Interval:
    """The share of members above the strictest, and above the loosest."""
    return Interval(float((in_M > threshold.strictest).mean()), float((in_M > threshold.loosest).mean()))


@dataclass(frozen=True, slots=True)
class TprAtFpr:
    """`tpr` over all members, its interval that of the TPR at the rate asked for; `fpr` over the non-members
    that did not set the threshold.
    """

    tpr: float
    tpr_interval: Interval
    fpr: float
    fpr_interval: Interval
    n_out: int


def tpr_at_fpr(
    in_M: Scores, out_N: Scores, fpr: float, rng: np.random.Generator
) -> tuple[TprAtFpr | None, str]:
    """(the rates at the threshold for `fpr`, ""), or (None, why the cell is refused)."""
    if not (len(in_M) and len(out_N) > 1):
        return None, "there are no members or no non-members"
    threshold, why = threshold_at_fpr(out_N, fpr, rng)
    if threshold is None:
        return None, why
    judges = out_N[threshold.judges]
    hits, alarms = int((in_M > threshold.value).sum()), int((judges > threshold.value).sum())
    rates = TprAtFpr(
        hits / len(in_M),
        tpr_interval(in_M, threshold),
        alarms / len(judges),
        clopper_pearson(alarms, len(judges)),
        len(judges),
    )
    return rates, ""


@dataclass(frozen=True, slots=True)
class Advantage:
    """TPR − FPR on the half that did not choose the threshold; `n` examples of that half."""

    value: float
    interval: Interval
    n: int


def advantage(in_M: Scores, out_N: Scores, rng: np.random.Generator) -> Advantage | None:
    """None where a side has fewer than two examples."""
    if len(in_M) < 2 or len(out_N) < 2:
        return None
    (in_first, in_second), (out_first, out_second) = _halves(in_M, rng), _halves(out_N, rng)
    candidates = np.unique(np.concatenate([in_first, out_first]))
    tpr = 1 - np.searchsorted(np.sort(in_first), candidates, side="right") / len(in_first)
    fpr = 1 - np.searchsorted(np.sort(out_first), candidates, side="right") / len(out_first)
    threshold = candidates[int(np.argmax(tpr - fpr))]
    hits, alarms = int((in_second > threshold).sum()), int((out_second > threshold).sum())
    return Advantage(
        hits / len(in_second) - alarms / len(out_second),
        newcombe(hits, len(in_second), alarms, len(out_second)),
        len(in_second) + len(out_second),
    )


def roc(in_M: Scores, out_N: Scores) -> pl.DataFrame:
    """fpr, tpr, low, high (Clopper–Pearson of the TPR), at most 200 points, dense at small rates."""
    descending = np.sort(out_N)[::-1]
    counts = np.unique(
        np.concatenate([[0, len(out_N)], np.geomspace(1, len(out_N), _ROC_POINTS - 2).round()]).astype(int)
    )
    hits = [
        int((in_M > descending[count]).sum()) if count < len(out_N) else len(in_M)
        for count in counts.tolist()
    ]
    bands = [clopper_pearson(hit, len(in_M)) for hit in hits]
    return pl.DataFrame(
        {
            "fpr": counts / len(out_N),
            "tpr": [hit / len(in_M) for hit in hits],
            "low": [band.low for band in bands],
            "high": [band.high for band in bands],
        }
    )


def histogram(in_M: Scores, out_N: Scores) -> pl.DataFrame:
    """low, high, count, member; the outermost bins also take the half percent beyond them."""
    low, high = np.quantile(np.concatenate([in_M, out_N]), [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    tables = []
    for scores, member in ((in_M, True), (out_N, False)):
        count, _ = np.histogram(np.clip(scores, edges[0], edges[-1]), edges)
        tables.append(
            pl.DataFrame({"low": edges[:-1], "high": edges[1:], "count": count, "member": [member] * _BINS})
        )
    return pl.concat(tables)


def _halves(scores: Scores, rng: np.random.Generator) -> tuple[Scores, Scores]:
    order = rng.permutation(len(scores))
    return scores[order[: len(scores) // 2]], scores[order[len(scores) // 2 :]]
