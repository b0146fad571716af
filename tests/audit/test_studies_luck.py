"""Intervals of shares above a threshold allow for the luck of whoever set it."""

import numpy as np
import polars as pl
from scipy import stats

from raiaudit.audit.privacy.inference.rates import threshold_at_fpr, tpr_of_possible_thresholds
from raiaudit.audit.statistics.intervals import clopper_pearson
from raiaudit.audit.studies.cells import STANDARD, shares, with_luck


def test_shares_and_their_paired_difference_are_covered() -> None:
    """Two models that score the same 400 members and 2,000 others, correlated; normal scores, TPR at 2 % FPR.

    The paired interval that takes thresholds as given covers the difference in 73 % of 300 repetitions.
    """
    fpr, repetitions, draws = 0.02, 300, np.random.default_rng(5)
    shifts = {STANDARD: 1.5, "other": 1.0}
    true = {name: float(stats.norm.sf(stats.norm.isf(fpr) - shift)) for name, shift in shifts.items()}
    covered = np.zeros(3)
    for seed in range(repetitions):
        shared = draws.normal(size=2400)
        caught, luck = {}, {}
        for name, shift in shifts.items():
            score = 0.6 * shared + 0.8 * draws.normal(size=2400)
            inside, outside = score[:400] + shift, score[400:]
            threshold, _ = threshold_at_fpr(outside, fpr, np.random.default_rng(seed))
            assert threshold is not None
            ids = [str(row) for row in range(400)]
            caught[name] = pl.DataFrame({"example_id": ids, "good": inside > threshold.value})
            luck[name] = tpr_of_possible_thresholds(inside, threshold)
        cells = with_luck(shares(caught, clopper_pearson), luck)
        change = cells["other"].change
        assert change is not None
        gap = true["other"] - true[STANDARD]
        covered += [
            *((cells[name].low or 0) <= true[name] <= (cells[name].high or 0) for name in shifts),
            change.low <= gap <= change.high,
        ]
    assert (covered / repetitions > 0.95 - 4 * (0.95 * 0.05 / repetitions) ** 0.5).all()
