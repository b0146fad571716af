"""The area under the ROC curve and the bootstrap of a mean: brute force, second libraries, coverage."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from raiaudit.audit.statistics.intervals import auc_delong, mean_bootstrap
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.audit.statistics.means import mean_measurement


def _with_ties(seed: int, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(0.7, 1, m), 1), np.round(rng.normal(0, 1, n), 1)


@pytest.mark.parametrize(("m", "n"), [(1, 5), (30, 80), (400, 900)])
def test_area_agrees_with_scikit_learn(m: int, n: int) -> None:
    pos, neg = _with_ties(m, m, n)
    expected = roc_auc_score(np.repeat([1, 0], [m, n]), np.concatenate([pos, neg]))
    assert auc_delong(pos, neg).value == pytest.approx(expected, abs=1e-12)


def test_interval_is_delongs_definition_on_the_logit_scale() -> None:
    """Placements from all m × n comparisons instead of midranks."""
    pos, neg = _with_ties(3, 40, 55)
    wins = (pos[:, None] > neg) + 0.5 * (pos[:, None] == neg)
    first, second = wins.mean(1).var(ddof=1) / 40, wins.mean(0).var(ddof=1) / 55
    degrees = (first + second) ** 2 / (first**2 / 39 + second**2 / 54)
    auc = wins.mean()
    width = stats.t.ppf(0.975, degrees) * np.sqrt(first + second)
    centre, half = np.log(auc / (1 - auc)), width / (auc * (1 - auc))
    estimate = auc_delong(pos, neg)
    expected = 1 / (1 + np.exp(-(centre + np.array([-half, half]))))
    assert (estimate.low, estimate.high) == pytest.approx(expected.tolist(), abs=1e-10)


@pytest.mark.parametrize(
    ("shift", "m", "n"), [(0.0, 40, 60), (1.0, 30, 100), (2.5, 60, 60), (1.0, 1000, 10), (0.5, 10, 1000)]
)
def test_area_covers(shift: float, m: int, n: int) -> None:
    rng, runs = np.random.default_rng(0), 1500
    truth = stats.norm.cdf(shift / np.sqrt(2))
    covered = 0
    for _ in range(runs):
        estimate = auc_delong(rng.normal(shift, 1, m), rng.normal(0, 1, n))
        covered += estimate.low <= truth <= estimate.high
    assert 0.925 <= covered / runs <= 0.98


def test_perfect_separation_is_not_certainty() -> None:
    estimate = auc_delong([3.0, 4.0, 5.0], [0.0, 1.0, 2.0])
    assert estimate.value == estimate.high == 1
    assert 0.3 < estimate.low < 0.6
    assert auc_delong(np.arange(100) + 200, np.arange(100)).low > 0.95
    constant = auc_delong([1.0] * 20, [1.0] * 30)
    assert constant.value == 0.5
    assert constant.low < 0.4 < 0.6 < constant.high


def test_scores_swapped_mirror_the_area() -> None:
    pos, neg = _with_ties(8, 25, 35)
    there, back = auc_delong(pos, neg), auc_delong(neg, pos)
    assert there.value is not None
    assert back == pytest.approx((1 - there.value, 1 - there.high, 1 - there.low))


def test_an_empty_side_has_no_area() -> None:
    assert auc_delong([], [1.0]) == auc_delong([1.0], []) == (None, 0, 1)


def test_bootstrap_agrees_with_scipys_bca() -> None:
    values = np.random.default_rng(2).exponential(size=80)
    ours = mean_bootstrap(values, rng=np.random.default_rng(0), resamples=20_000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, rng=np.random.default_rng(1))
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.012)


def test_bootstrap_covers_the_mean_of_skewed_values() -> None:
    rng, runs = np.random.default_rng(3), 500
    covered = 0
    for _ in range(runs):
        low, high = mean_bootstrap(rng.exponential(size=60), rng=rng, resamples=500)
        covered += low <= 1 <= high
    assert covered / runs == pytest.approx(0.935, abs=0.03)


def test_bootstrap_does_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    from raiaudit.audit.statistics import intervals

    values = np.random.default_rng(4).normal(size=50)
    whole = mean_bootstrap(values, rng=np.random.default_rng(0))
    monkeypatch.setattr(intervals, "_CHUNK", 170)
    assert mean_bootstrap(values, rng=np.random.default_rng(0)) == whole


def test_bootstrap_needs_two_values() -> None:
    with pytest.raises(ValueError, match="two values"):
        mean_bootstrap([1.0], rng=np.random.default_rng(0))


def test_mean_measurement_is_undefined_for_one_example() -> None:
    one, two = (
        mean_measurement(
            pl.Series(values),
            check="c",
            metric="m",
            confidence=0.95,
            unit="",
            better="lower",
            seed=0,
            evidence=(),
        )
        for values in ([3.0], [3.0, 4.0])
    )
    assert (one.value, one.low, one.n) == (None, None, 1)
    assert two.value == 3.5


def test_keyed_generators_are_repeatable_and_apart() -> None:
    def draw(seed: int, *key: str | int) -> list[int]:
        return [int(value) for value in keyed_rng(seed, *key).integers(1 << 30, size=3)]

    assert draw(0, "a", 1) == draw(0, "a", 1)
    assert len({tuple(draw(*key)) for key in ((0, "a", 1), (1, "a", 1), (0, "a", 2), (0, "a1"))}) == 4
