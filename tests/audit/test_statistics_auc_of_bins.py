"""The AUC of binned scores: DeLong's of the rows, weights, and clusters by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from raiaudit.audit.statistics.auc_of_bins import BinnedScores, auc_of_bins
from raiaudit.audit.statistics.intervals import auc_delong


def _binned(bin_N: np.ndarray, label_N: np.ndarray, weight_N: np.ndarray | None = None) -> BinnedScores:
    weight = np.ones(len(bin_N)) if weight_N is None else weight_N
    positive, negative = weight * label_N, weight * (1 - label_N)
    return BinnedScores(bin_N, positive, negative, positive**2, negative**2)


@pytest.mark.parametrize(
    ("m", "n", "bins"), [(40, 60, 8), (500, 300, 4096), (2, 2, 3), (1, 30, 5), (9, 9, 1)]
)
def test_it_is_delong_of_the_binned_scores(m: int, n: int, bins: int) -> None:
    rng = np.random.default_rng(m)
    label = np.repeat([1, 0], [m, n])
    bin_N = np.clip(rng.normal(bins / 2 + label, bins / 4), 0, bins - 1).astype(np.int64)
    ours = auc_of_bins(_binned(bin_N, label))
    theirs = auc_delong(bin_N[label == 1], bin_N[label == 0], 0.9)
    assert ours is not None
    assert (ours.auc, *ours.interval(0.9)) == pytest.approx(tuple(theirs), abs=1e-12)


def test_counted_bins_say_the_same_as_rows() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=200)
    bin_N = rng.integers(6, size=200) + 2 * label
    rows = auc_of_bins(_binned(bin_N, label))
    held = np.unique(bin_N)
    pos, neg = (np.array([(bin_N[label == y] == b).sum() for b in held], dtype=float) for y in (1, 0))
    counted = auc_of_bins(BinnedScores(held, pos, neg, pos, neg))
    assert rows is not None
    assert counted is not None
    assert counted == pytest.approx(rows, abs=1e-12)


def test_one_side_alone_has_no_area() -> None:
    assert auc_of_bins(_binned(np.arange(5), np.ones(5, dtype=np.int64))) is None


def test_equal_weights_change_nothing_and_unequal_ones_lose_information() -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(2, size=300)
    bin_N = rng.integers(20, size=300) + 5 * label
    plain = auc_of_bins(_binned(bin_N, label))
    tripled = auc_of_bins(_binned(bin_N, label, np.full(300, 3.0)))
    uneven = auc_of_bins(_binned(bin_N, label, rng.choice([0.1, 5.0], 300)))
    assert plain is not None
    assert uneven is not None
    assert tripled == pytest.approx(plain)
    assert uneven.positives < plain.positives
    assert uneven.variance > plain.variance


def test_coverage_with_repeated_people() -> None:
    """Each person has six rows and a level of their own: rows taken as independent would cover too seldom."""
    rng, people, each, runs = np.random.default_rng(2), 120, 6, 400
    cluster = np.repeat(np.arange(people), each)
    covered = naive = 0
    # Scores of positives are N(1, 1 + 1) of negatives N(0, 1 + 1): AUC = Φ(1 / 2).
    truth = 0.6914624612740131
    for _ in range(runs):
        label = np.repeat(rng.integers(2, size=people), each)
        score = label + np.repeat(rng.normal(size=people), each) + rng.normal(size=people * each)
        bin_N = np.clip((score + 8) / 17 * 4096, 0, 4095).astype(np.int64)
        rows = _binned(bin_N, label)
        grouped = auc_of_bins(rows._replace(cluster_U=cluster))
        plain = auc_of_bins(rows)
        assert grouped is not None
        assert plain is not None
        low, high = grouped.interval(0.95)
        covered += low <= truth <= high
        low, high = plain.interval(0.95)
        naive += low <= truth <= high
    assert covered / runs == pytest.approx(0.95, abs=0.035)
    assert naive / runs < 0.85
