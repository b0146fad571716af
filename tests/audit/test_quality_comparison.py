"""Tests and intervals of "this map beats that one": null calibration, coverage, exact enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import kstest, spearmanr, ttest_1samp

from raiaudit.audit.explanations.quality.comparison import pigeonhole, sign_flip, simultaneous
from raiaudit.audit.explanations.quality.similarity import spearman, ssim


def test_few_examples_are_enumerated() -> None:
    gains = np.array([0.5, -0.2, 0.3, 0.9])
    sums = [sum(s * g for s, g in zip(signs, gains, strict=True)) for signs in product((1, -1), repeat=4)]
    exact = np.mean(np.array(sums) >= gains.sum() - 1e-12)
    assert sign_flip(gains[:, None], rng=np.random.default_rng(0))[0] == exact
    assert sign_flip(np.zeros((4, 1)), rng=np.random.default_rng(0))[0] == 1


def test_p_values_are_uniform_when_nothing_is_gained() -> None:
    generator = np.random.default_rng(0)
    gains = generator.standard_t(3, size=(30, 400))
    p = sign_flip(gains, rng=np.random.default_rng(1), permutations=999)
    assert kstest(p, "uniform").pvalue > 0.01
    assert 0.02 < (p <= 0.05).mean() < 0.08


def test_a_real_gain_has_students_p_value() -> None:
    gains = np.random.default_rng(0).normal(0.5, 1, size=(60, 5))
    expected = ttest_1samp(gains, 0, alternative="greater").pvalue
    np.testing.assert_allclose(sign_flip(gains, rng=np.random.default_rng(1)), expected, atol=0.01)


def test_simultaneous_intervals_hold_together() -> None:
    """Of 200 families of six correlated means about 95 % lie in all their six intervals at once."""
    generator, held = np.random.default_rng(0), 0
    for _ in range(200):
        gains = generator.normal(size=(40, 6)) + generator.normal(size=(40, 1))
        found = simultaneous(gains, rng=generator, resamples=400)
        held += all(interval.low <= 0 <= interval.high for interval in found)
    assert 0.89 <= held / 200 <= 0.99


def test_one_interval_is_students_and_a_constant_gain_is_certain() -> None:
    gains = np.random.default_rng(0).normal(1, 1, size=(80, 1))
    (found,) = simultaneous(gains, rng=np.random.default_rng(1))
    half = 1.99 * gains.std(ddof=1) / np.sqrt(80)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.12)
    (flat,) = simultaneous(np.full((5, 1), 0.25), rng=np.random.default_rng(1))
    assert flat == (0.25, 0.25)
    with pytest.raises(ValueError, match="two examples"):
        simultaneous(np.ones((1, 1)), rng=np.random.default_rng(1))


def test_seeds_and_examples_both_widen_the_pigeonhole_interval() -> None:
    generator = np.random.default_rng(0)
    by_seed = np.repeat(np.arange(-2.0, 3.0)[:, None], 400, axis=1)
    noise = generator.normal(size=(5, 400))
    wide, narrow = (pigeonhole(values, rng=np.random.default_rng(1)) for values in (by_seed, noise))
    assert wide.high - wide.low > 1
    assert narrow.high - narrow.low < 0.35
    noise[2, 7] = np.nan
    assert pigeonhole(noise, rng=np.random.default_rng(1)).low == pytest.approx(narrow.low, abs=0.02)


def test_the_pigeonhole_interval_covers() -> None:
    generator, held = np.random.default_rng(0), 0
    for _ in range(100):
        values = (
            generator.normal(size=(8, 1)) + generator.normal(size=(1, 40)) + generator.normal(size=(8, 40))
        )
        found = pigeonhole(values, rng=generator, resamples=300)
        held += found.low <= 0 <= found.high
    assert held >= 85


def test_spearman_is_scipys_over_present_features() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 6, size=(4, 12)), generator.integers(0, 6, size=(4, 12))
    present = generator.random((4, 12)) < 0.7
    for here in (np.ones((4, 12), dtype=bool), present):
        found = spearman(a.astype(float), b.astype(float), here)
        expected = [spearmanr(x[m], y[m]).statistic for x, y, m in zip(a, b, here, strict=True)]
        np.testing.assert_allclose(found, expected)
    assert np.isnan(spearman(np.ones((1, 5)), np.arange(5.0)[None], np.ones((1, 5), dtype=bool))[0])


def test_ssim_is_one_for_a_map_and_its_scalings_and_small_for_strangers() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.random((2, 400)) ** 4, generator.random((2, 400)) ** 4
    np.testing.assert_allclose(ssim(a, -3 * a, (20, 20)), 1)
    assert (np.abs(ssim(a, b, (20, 20))) < 0.3).all()
    np.testing.assert_allclose(ssim(a, b, (20, 20)), ssim(b, a, (20, 20)))
    assert np.isnan(ssim(np.zeros((1, 400)), a[:1], (20, 20)))[0]


def test_ssim_of_two_flat_maps_has_its_closed_form() -> None:
    """|map| is scaled to its largest value: an all-ones map against one that is 1 only far away."""
    far = np.zeros((1, 900))
    far[0, -1] = 1
    found = ssim(np.ones((1, 900)), far, (30, 30))[0]
    empty = 1e-4 / (1 + 1e-4)  # luminance (C1)/(1 + C1), structure 1, but for the corner
    assert found == pytest.approx(empty, abs=0.03)
