"""Exposure by ranks and by extrapolation, against TensorFlow Privacy's formulas re-stated and integrals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from raiaudit.attacks.inference import exposure
from raiaudit.attacks.inference.exposure import _log_tail
from raiaudit.errors import UsageError


def test_rank_exposure_by_hand() -> None:
    reference = np.arange(1.0, 17.0)
    found = exposure.from_rank(np.array([0.0, 3.5, 20.0, 16.0]), reference)
    np.testing.assert_allclose(found, [4.0, 4 - np.log2(4), 4 - np.log2(17), 4 - np.log2(17)])


def test_ranks_are_those_of_tensorflow_privacy() -> None:
    """Its `compute_exposure_interpolation`: sort all, references before equals, count those ahead."""
    rng = np.random.default_rng(0)
    reference, canary = rng.integers(0, 40, 60).astype(float), rng.integers(-5, 45, 12).astype(float)
    order = sorted([(loss, -1) for loss in reference] + [(loss, i) for i, loss in enumerate(canary)])
    ahead, theirs = 0, np.empty(12)
    for _, who in order:
        if who < 0:
            ahead += 1
        else:
            theirs[who] = np.log2(60) - np.log2(ahead + 1)
    np.testing.assert_allclose(exposure.from_rank(canary, reference), theirs, rtol=1e-12, atol=1e-12)


def test_a_canary_never_trained_on_has_the_exposure_of_a_uniform_rank() -> None:
    rng = np.random.default_rng(1)
    found = np.concatenate(
        [exposure.from_rank(rng.normal(size=1), rng.normal(size=255)) for _ in range(4000)]
    )
    exact = np.log2(255) - np.log2(np.arange(1, 257))
    assert found.mean() == pytest.approx(exact.mean(), abs=4 * exact.std() / np.sqrt(4000))


def test_extrapolation_is_the_formula_of_tensorflow_privacy() -> None:
    reference = stats.skewnorm.rvs(4, size=600, random_state=2)
    canary = np.array([0.1, 0.5, 1.0, 3.0])
    theirs = -np.log2(stats.skewnorm.cdf(canary, *stats.skewnorm.fit(reference)))
    np.testing.assert_allclose(exposure.extrapolated(canary, reference), theirs, rtol=1e-9)


@pytest.mark.parametrize("skew", [-3.0, 0.0, 0.7, 4.0])
def test_the_tail_is_integrated_where_the_distribution_function_is_zero(skew: float) -> None:
    for x in (-4.0, -9.0, -30.0):
        top = stats.skewnorm.logpdf(x, skew)
        area, _ = integrate.quad(
            lambda s, x=x, top=top: np.exp(stats.skewnorm.logpdf(x - s, skew) - top), 0, 3
        )
        if not np.isfinite(top):
            continue
        assert _log_tail(np.array([x]), skew)[0] == pytest.approx(top + np.log(area), rel=1e-6)
    np.testing.assert_allclose(
        _log_tail(np.array([-6.0, -35.0]), 0.0), stats.norm.logcdf([-6.0, -35.0]), rtol=1e-9
    )


def test_exposure_beyond_the_references_goes_on_rising() -> None:
    reference = np.random.default_rng(3).normal(100, 5, 400)
    found = exposure.extrapolated(np.array([100.0, 80.0, 60.0, 20.0, -200.0]), reference)
    assert bool(np.isfinite(found).all())
    assert bool((np.diff(found) > 1).all())
    assert found[0] == pytest.approx(1, abs=0.2)
    assert found[1] > np.log2(400)


def test_references_cut_off_at_the_left_have_finite_exposures() -> None:
    """The fit is then nearly half a normal distribution, whose mode has almost no mass to its left."""
    reference = np.abs(np.random.default_rng(4).normal(size=2000)) + 5
    found = exposure.extrapolated(np.array([5.0 + 1e-7, 5.0, 4.9, 4.0]), reference)
    assert bool(np.isfinite(found).all())
    assert bool((np.diff(found) >= 0).all())
    assert found[-1] > np.log2(2000)


def test_too_few_references_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        exposure.from_rank(np.zeros(1), np.empty(0))
    with pytest.raises(UsageError, match="at least 10"):
        exposure.extrapolated(np.zeros(1), np.arange(9.0))
    with pytest.raises(UsageError, match="all equal"):
        exposure.extrapolated(np.zeros(1), np.ones(20))
