"""Expected calibration error of the positive class's score within each group, from the histogram.

ECE = Σ_b (n_b / n) · |mean score − share of positives| over 16 bins (Guo et al., arXiv:1706.04599), with the
interval of `reliability/binning.py` and its reasons: the plug-in is biased upwards, the more so the smaller
the group. For that bias groups are not compared by it; `calibration_bias` is what they are compared by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from raiaudit.audit.fairness.by_group.values import GroupValue, left_out
from raiaudit.audit.fairness.counting.tally import BINS
from raiaudit.audit.statistics.intervals import Interval
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.fairness.by_group.reporting import Reporter
    from raiaudit.audit.fairness.by_group.scores import GroupScores
    from raiaudit.audit.measurement import Measurement

__all__ = ["calibration_error_by_group"]

_BINS = 16
_RESAMPLES = 1000


class _Error(NamedTuple):
    value: float
    noise_B: NDArray[np.float64]
    null_B: NDArray[np.float64]
    drawn_B: NDArray[np.float64]

    def interval(self, confidence: float) -> Interval:
        upper = (1 + confidence) / 2
        null = float(np.quantile(self.null_B, upper))
        noise = float(np.quantile(self.noise_B, upper))
        high = max(float(np.quantile(self.drawn_B, upper)), null)
        return Interval(max(0.0, self.value - max(noise, null)), min(1.0, high))


def calibration_error_by_group(
    report: Reporter, scored: list[GroupScores], minimum: int
) -> list[Measurement]:
    """`calibration_error` of each group; rows are independent and count once."""
    values = []
    for scores in scored:
        n = scores.positives + scores.negatives
        reason = left_out(scores.group, n, n, minimum, "scored examples")
        if not n:
            values.append(GroupValue(scores.group, None, 0, lambda _: Interval(0.0, 1.0), reason))
            continue
        rng = keyed_rng(report.seed, report.check, report.attribute, "calibration_error", scores.group)
        error = _error(scores, rng)
        values.append(GroupValue(scores.group, error.value, n, error.interval, reason))
    return report.groups("calibration_error", values, "lower", "guo2017")


def _error(scores: GroupScores, rng: np.random.Generator) -> _Error:
    """A bin is two cells, its positives and negatives, at their mean scores: their numbers vary."""
    bins = scores.bins
    coarse_U, middle_U = bins.bin_U * _BINS // BINS, (bins.bin_U + 0.5) / BINS
    count_YB = np.stack([np.bincount(coarse_U, c, _BINS) for c in (bins.negative_U, bins.positive_U)])
    score_YB = np.stack(
        [np.bincount(coarse_U, c * middle_U, _BINS) for c in (bins.negative_U, bins.positive_U)]
    )
    n = int(count_YB.sum())
    mean_YB = np.divide(score_YB, count_YB, out=np.zeros_like(score_YB), where=count_YB > 0)
    gap_YB = mean_YB - np.array([[0.0], [1.0]])
    gap_B = (count_YB * gap_YB).sum(0) / n
    drawn_RYB = rng.multinomial(n, count_YB.ravel() / n, size=_RESAMPLES).reshape(_RESAMPLES, 2, _BINS)
    drawn_RB = (drawn_RYB * gap_YB).sum(1) / n
    n_B, total_B = count_YB.sum(0), score_YB.sum(0)
    expected_B = np.divide(total_B, n_B, out=np.zeros(_BINS), where=n_B > 0)
    hits_RB = rng.binomial(n_B.astype(np.int64), expected_B, size=(_RESAMPLES, _BINS))
    return _Error(
        float(np.abs(gap_B).sum()),
        np.abs(drawn_RB - gap_B).sum(1),
        np.abs(total_B - hits_RB).sum(1) / n,
        np.abs(drawn_RB).sum(1),
    )
