"""Noises against the distributions they are defined by."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from raiaudit.attacks.corruptions import CORRUPTIONS
from raiaudit.attacks.corruptions.noise import (
    GAUSSIAN_NOISE,
    IMPULSE_NOISE,
    SHOT_NOISE,
    SPECKLE_NOISE,
    poisson_quantile,
)

SIDES = pytest.mark.parametrize("side", [32, 64])


def scale(side: int, table: object) -> tuple[float, ...]:
    chosen: tuple[float, ...] = getattr(table, "small" if side < 64 else "large")
    return chosen


@SIDES
def test_gaussian_noise_has_the_stated_deviation(side: int) -> None:
    x = torch.full((40, 3, side, side), 0.5)
    for severity, sigma in enumerate(scale(side, GAUSSIAN_NOISE), start=1):
        noise = CORRUPTIONS["gaussian_noise"](x, severity, seed=1) - 0.5
        # Clipping at ±0.5 leaves this standard deviation: scipy integrates the clipped normal.
        law = scipy.stats.norm(scale=sigma)
        expected = np.sqrt(law.expect(lambda value: min(abs(value), 0.5) ** 2))
        assert float(noise.std()) == pytest.approx(expected, rel=0.01)
        assert abs(float(noise.mean())) < 5 * sigma / np.sqrt(noise.numel())


@SIDES
def test_speckle_noise_grows_with_the_value(side: int) -> None:
    for severity, sigma in enumerate(scale(side, SPECKLE_NOISE), start=1):
        for value in (0.05, 0.2):
            x = torch.full((30, 3, side, side), value)
            noise = CORRUPTIONS["speckle_noise"](x, severity, seed=1) - value
            law = scipy.stats.norm(scale=sigma)
            expected = np.sqrt(
                law.expect(lambda z: max(z, -1.0) ** 2) - law.expect(lambda z: max(z, -1.0)) ** 2
            )
            assert float(noise.std()) == pytest.approx(value * expected, rel=0.015)
    black = CORRUPTIONS["speckle_noise"](torch.zeros(2, 1, side, side), 5, seed=0)
    assert float(black.max()) == 0


@pytest.mark.parametrize(
    ("mean", "wrong"), [(0.0, 0), (0.02, 0), (1.0, 0), (3.9, 0), (4.0, 2e-3), (25, 3e-4), (500, 1e-4)]
)
def test_poisson_quantiles_are_scipys(mean: float, wrong: float) -> None:
    rank = (np.arange(100_000) + 0.5) / 100_000
    expected = scipy.stats.poisson.ppf(rank, mean)
    normal = torch.from_numpy(scipy.stats.norm.ppf(rank))
    counts = poisson_quantile(normal, torch.full_like(normal, mean)).numpy()
    assert np.abs(counts - expected).max() <= 1
    assert np.mean(counts != expected) <= wrong


@SIDES
def test_shot_noise_is_a_count_of_photons(side: int) -> None:
    for severity, photons in enumerate(scale(side, SHOT_NOISE), start=1):
        x = torch.full((30, 3, side, side), 0.25)
        counts = CORRUPTIONS["shot_noise"](x, severity, seed=3) * photons
        torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-3)
        law = scipy.stats.poisson(0.25 * photons)
        clipped = np.minimum(np.arange(2000), photons)
        weights = law.pmf(np.arange(2000))
        expected = weights @ clipped
        spread = np.sqrt(weights @ (clipped - expected) ** 2)
        assert float(counts.mean()) == pytest.approx(expected, abs=5 * spread / np.sqrt(counts.numel()))
        assert float(counts.std()) == pytest.approx(spread, rel=0.02)


@SIDES
def test_impulse_noise_is_salt_and_pepper(side: int) -> None:
    x = torch.full((30, 3, side, side), 0.5)
    hit_before = torch.zeros_like(x, dtype=torch.bool)
    for severity, share in enumerate(scale(side, IMPULSE_NOISE), start=1):
        corrupted = CORRUPTIONS["impulse_noise"](x, severity, seed=2)
        hit = corrupted != 0.5
        salt, pepper = int((corrupted == 1).sum()), int((corrupted == 0).sum())
        assert salt + pepper == int(hit.sum())
        assert scipy.stats.binomtest(int(hit.sum()), x.numel(), share).pvalue > 1e-4
        assert scipy.stats.binomtest(salt, salt + pepper, 0.5).pvalue > 1e-4
        assert bool((hit | ~hit_before).all()), "what a mild noise hits, a strong one hits as well"
        hit_before = hit
