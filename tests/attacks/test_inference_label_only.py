"""Label-only scores on a linear model, whose agreement under noise has a closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from raiaudit.attacks.inference import label_only
from raiaudit.errors import UsageError

SIGMAS = (0.5, 1.0, 2.0)


def linear(x: np.ndarray) -> np.ndarray:
    """Class 1 where the first coordinate is positive: its size is the distance to the boundary."""
    return (x.reshape(len(x), -1)[:, 0] > 0).astype(np.int64)


def auc(score: np.ndarray, member: np.ndarray) -> float:
    statistic = stats.mannwhitneyu(score[member], score[~member]).statistic
    return float(statistic / (member.sum() * (~member).sum()))


def world(gain: float, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Members lie `gain` further inside their class."""
    rng = np.random.default_rng(seed)
    y, member = rng.integers(0, 2, 1500), rng.random(1500) < 0.5
    x = rng.normal(size=(1500, 1, 2, 2))
    x[:, 0, 0, 0] = (2 * y - 1) * (rng.normal(0.8, 1, 1500) + gain * member)
    return x, y, member


def test_agreement_is_the_mass_of_the_noise_on_the_right_side() -> None:
    x, y, _ = world(0.0, seed=0)
    found = label_only.noise_agreement(linear, x[:300], y[:300], sigmas=SIGMAS, draws=400)
    margin = (2 * y - 1)[:300] * x[:300, 0, 0, 0]
    for row, sigma in zip(found, SIGMAS, strict=True):
        # Binomial: 400 draws have a standard error of at most 0.025; five of those for 900 numbers.
        np.testing.assert_allclose(row, stats.norm.cdf(margin / sigma), atol=0.125)
        assert abs((row - stats.norm.cdf(margin / sigma)).mean()) < 0.01


def test_members_score_higher_and_without_a_leak_nobody_does() -> None:
    for gain, low, high in ((1.0, 0.65, 1.0), (0.0, 0.45, 0.55)):
        x, y, member = world(gain, seed=1)
        correct = linear(x) == y
        agreement = label_only.noise_agreement(linear, x, y, sigmas=SIGMAS, draws=10)
        distance = np.abs(x[:, 0, 0, 0])
        for score in (
            label_only.noise_score(agreement, correct),
            label_only.distance_score(distance, correct),
        ):
            assert low < auc(score, member) < high


def test_wrong_without_noise_ranks_below_right() -> None:
    score = label_only.noise_score(np.array([[0.0, 1.0]]), np.array([True, False]))
    assert score[0] > score[1]


def test_noise_stays_in_the_box_and_in_the_type_of_x() -> None:
    seen = []

    def remember(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return np.zeros(len(x), dtype=np.int64)

    x = np.random.default_rng(2).random((9, 3), dtype=np.float32)
    label_only.noise_agreement(remember, x, np.zeros(9, dtype=int), sigmas=[3.0], draws=4, bounds=(0.0, 1.0))
    assert len(seen) == 4
    for noisy in seen:
        assert noisy.dtype == np.float32
        assert noisy.min() >= 0
        assert noisy.max() <= 1
        assert not np.array_equal(noisy, x)


def test_shares_of_answers_and_distances_by_hand() -> None:
    answers = np.array([[1, 0, 2], [1, 1, 2], [0, 1, 2], [1, 1, 0]])
    np.testing.assert_array_equal(label_only.agreement(answers, np.array([1, 0, 2])), [0.75, 0.25, 0.75])
    distance, correct = np.array([0.2, np.inf, 3.0, 1.0]), np.array([True, True, True, False])
    np.testing.assert_array_equal(label_only.distance_score(distance, correct), [0.2, 6.0, 3.0, 0.0])
    np.testing.assert_array_equal(label_only.distance_score(np.array([np.inf]), np.array([True])), [1.0])


def test_senseless_requests_are_refused() -> None:
    with pytest.raises(UsageError, match="above 0"):
        label_only.noise_agreement(linear, np.zeros((2, 2)), np.zeros(2, dtype=int), sigmas=[0.0])
    with pytest.raises(UsageError, match="0 or more"):
        label_only.distance_score(np.array([-1.0]), np.array([True]))
