"""How alike two maps are, against other libraries and arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from raiaudit.audit.explanations.stability.shard import compared_features
from raiaudit.audit.explanations.stability.similarity import (
    centre_shift,
    rank_correlation,
    relative_change,
    top_overlap,
)


def test_overlap_counts_what_is_shared() -> None:
    before = np.array([[5.0, -4.0, 3.0, 0.0, 0.1], [1.0, 1.0, 1.0, 1.0, 1.0]])
    after = np.array([[0.0, 4.0, -6.0, 5.0, 0.1], [1.0, 1.0, 1.0, 1.0, 1.0]])
    assert top_overlap(before, after, 3).tolist() == pytest.approx([2 / 3, 1.0])
    assert top_overlap(before, after, 2).tolist() == [0.0, 1.0]


def test_random_maps_share_what_chance_gives() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4000, 30))
    overlap = top_overlap(a, b, 6)
    assert abs(overlap.mean() - 0.2) < 4 * overlap.std() / np.sqrt(4000)
    assert abs(rank_correlation(a, b).mean()) < 0.02


def test_rank_correlation_is_scipys() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 5, (2, 6, 20)).astype(float)  # with ties
    theirs = [spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(rank_correlation(a, b), theirs)
    assert np.isnan(rank_correlation(np.ones((1, 4)), a[:1, :4]))


def test_the_centre_moves_as_far_as_the_only_pixel() -> None:
    before, after = np.zeros((1, 20)), np.zeros((1, 20))
    before[0, 0], after[0, 2 * 5 + 3] = 7.0, -2.0  # 4 rows of 5: from (0, 0) to (2, 3)
    np.testing.assert_allclose(centre_shift(before, after, (4, 5)), np.hypot(2, 3))
    assert np.isnan(centre_shift(before, np.zeros((1, 20)), (4, 5)))


def test_relative_change_is_in_norms_of_the_map() -> None:
    np.testing.assert_allclose(relative_change(np.array([[3.0, 4.0]]), np.array([[3.0, 14.0]])), [2.0])
    assert np.isnan(relative_change(np.zeros((1, 2)), np.ones((1, 2))))


@pytest.mark.parametrize(
    ("features", "asked", "compared"),
    [(784, None, 78), (14, None, 3), (4, None, 2), (784, 100, 100), (1, 5, 1)],
)
def test_a_tenth_is_compared_and_never_more_than_half(
    features: int, asked: int | None, compared: int
) -> None:
    assert compared_features(features, asked) == compared
