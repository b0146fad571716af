"""Scores by group from their histogram: how well they order (AUC), and whether they mean what they say.

`calibration_bias` of a group is E[S − Y | A = a], its mean score less its base rate: positive where risk is
overstated. It is 0 in every group of a score that is calibrated within groups (Kleinberg, Mullainathan and
Raghavan, arXiv:1609.05807; Pleiss et al., arXiv:1709.02012); the reverse does not hold, for errors at low and
at high scores can cancel: see `calibration_error`. The score of a bin is its middle, at most 1/8192 off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy.special import stdtrit

from raiaudit.audit.fairness.by_group.values import GroupValue, left_out
from raiaudit.audit.fairness.counting.tally import BINS
from raiaudit.audit.statistics.auc_of_bins import BinnedScores, auc_of_bins
from raiaudit.audit.statistics.intervals import Interval, difference, wilson

if TYPE_CHECKING:
    from raiaudit.audit.fairness.by_group.reporting import Reporter
    from raiaudit.audit.fairness.counting.tally import Tally
    from raiaudit.audit.measurement import Measurement

__all__ = ["GroupScores", "auc_by_histogram", "calibration_by_group", "scores_by_group"]

SIDES = ("examples labelled positive", "examples labelled negative")


@dataclass(frozen=True, slots=True)
class GroupScores:
    """The binned scores of one group and how many examples of either label gave them."""

    group: str
    bins: BinnedScores
    positives: int
    negatives: int


def scores_by_group(tally: Tally, attribute: str) -> list[GroupScores]:
    """Groups in order. The tally has labels, scores and a positive class."""
    source = tally.scores if tally.clusters is None else tally.clusters.drop_nulls("bin")
    assert source is not None
    total, squares = ("weight", "squares") if tally.weighted else ("n", "n")
    apart = ["cluster"] if tally.clusters is not None else []
    mine = pl.col("label") == tally.positive
    sums = {
        "positive": pl.col(total).filter(mine).sum(),
        "negative": pl.col(total).filter(~mine).sum(),
        "positive_squares": pl.col(squares).filter(mine).sum(),
        "negative_squares": pl.col(squares).filter(~mine).sum(),
        "positives": pl.col("n").filter(mine).sum(),
        "negatives": pl.col("n").filter(~mine).sum(),
    }
    keys = [attribute, "bin", *apart]
    rows = source.group_by(keys).agg(**sums).sort(keys)
    if apart:
        rows = rows.with_columns(pl.col("cluster").rank("dense").cast(pl.Int64) - 1)
    found = []
    for part in rows.partition_by(attribute, maintain_order=True):
        numbers = {name: part[name].cast(pl.Float64).to_numpy() for name in list(sums)[:4]}
        bins = BinnedScores(
            part["bin"].to_numpy(),
            numbers["positive"],
            numbers["negative"],
            numbers["positive_squares"],
            numbers["negative_squares"],
            part["cluster"].to_numpy() if apart else None,
        )
        counts = int(part["positives"].sum()), int(part["negatives"].sum())
        found.append(GroupScores(part[attribute][0], bins, *counts))
    return found


def auc_by_histogram(report: Reporter, scored: list[GroupScores], minimum: int) -> list[Measurement]:
    """AUC within each group, signed gaps to the reference and the widest gap."""
    values = [_area(scores, minimum) for scores in scored]
    return [
        *report.groups("auc", values, "higher", "delong1988"),
        *report.gaps("auc", values, "zou2008"),
        report.widest("auc_difference", [values], "zou2008"),
    ]


def _area(scores: GroupScores, minimum: int) -> GroupValue:
    n, condition = min((scores.positives, SIDES[0]), (scores.negatives, SIDES[1]))
    reason = left_out(scores.group, n, n, minimum, condition)
    moments = auc_of_bins(scores.bins)
    if moments is None:
        return GroupValue(scores.group, None, n, lambda _: Interval(0.0, 1.0), reason)
    effective = min(moments.positives, moments.negatives)
    reason = reason or left_out(scores.group, n, min(n, effective), minimum, condition)
    return GroupValue(scores.group, moments.auc, n, moments.interval, reason)


def calibration_by_group(report: Reporter, scored: list[GroupScores], minimum: int) -> list[Measurement]:
    """Calibration bias of each group, signed gaps to the reference and the widest gap."""
    values = [_bias(scores, minimum) for scores in scored]
    return [
        *report.groups("calibration_bias", values, "neither", "kleinberg2017"),
        *report.gaps("calibration_bias", values, "zou2008"),
        report.widest("calibration_bias_difference", [values], "zou2008"),
    ]


def _bias(scores: GroupScores, minimum: int) -> GroupValue:
    bins, n = scores.bins, scores.positives + scores.negatives
    middle_U = (bins.bin_U + 0.5) / BINS
    total = float((bins.positive_U + bins.negative_U).sum())
    squares = float((bins.positive_squares_U + bins.negative_squares_U).sum())
    if not total:
        return GroupValue(scores.group, None, n, lambda _: Interval(-1.0, 1.0), "no scored examples")
    score = float(((bins.positive_U + bins.negative_U) * middle_U).sum()) / total
    rate = float(bins.positive_U.sum()) / total
    over, under = middle_U - 1 - (score - rate), middle_U - (score - rate)
    if bins.cluster_U is None:
        size = total**2 / squares
        spread = float((bins.positive_squares_U * over**2 + bins.negative_squares_U * under**2).sum())
    else:
        residual_C = np.bincount(bins.cluster_U, bins.positive_U * over + bins.negative_U * under)
        size = float((np.bincount(bins.cluster_U) > 0).sum())
        spread = float((residual_C**2).sum())
    deviation = math.sqrt(spread / total**2 * size / (size - 1)) if size > 1 else math.inf
    interval = partial(_bias_interval, score, rate, deviation, size)
    reason = left_out(scores.group, n, min(n, size), minimum, "scored examples")
    return GroupValue(scores.group, score - rate, n, interval, reason)


def _bias_interval(score: float, rate: float, deviation: float, size: float, confidence: float) -> Interval:
    if size <= 1:
        return Interval(-1.0, 1.0)
    bias = score - rate
    reach = float(stdtrit(size - 1, (1 + confidence) / 2)) * deviation
    spread = Interval(max(-1.0, bias - reach), min(1.0, bias + reach))
    if 0 < rate < 1:
        return spread
    # All labels are alike: what was not seen of the other label is Wilson's to say.
    known = Interval(score - (bias - spread.low), score + (spread.high - bias))
    return difference(score, known, rate, wilson(rate * size, size, confidence))
