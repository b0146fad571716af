"""Corruptions against scipy, and against the moments they are defined by."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch

from raiaudit.attacks.corruptions import CORRUPTIONS
from raiaudit.attacks.corruptions.blur import GAUSSIAN_BLUR
from raiaudit.attacks.corruptions.noise import GAUSSIAN_NOISE
from raiaudit.errors import UsageError

SHAPES = [(1, 8, 8), (3, 32, 32), (1, 28, 20), (4, 70, 65)]


def images(shape: tuple[int, ...], count: int = 3) -> torch.Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_blur_equals_scipy(shape: tuple[int, int, int], severity: int) -> None:
    x = images(shape)
    table = GAUSSIAN_BLUR.small if min(shape[1:]) < 64 else GAUSSIAN_BLUR.large
    sigma = table[severity - 1]
    expected = scipy.ndimage.gaussian_filter(
        x.double().numpy(), sigma=(0, 0, sigma, sigma), mode="nearest", truncate=4.0
    )
    blurred = CORRUPTIONS["gaussian_blur"](x, severity, seed=0)
    np.testing.assert_allclose(blurred.numpy(), expected, atol=2e-6)


def test_blur_preserves_light() -> None:
    """What is far enough from the border is spread, not lost; what is constant stays."""
    x = torch.zeros(1, 1, 24, 24)
    x[0, 0, 10:14, 9:12] = 1.0
    blurred = CORRUPTIONS["gaussian_blur"](x, 5, seed=0)
    assert float(blurred.sum()) == pytest.approx(12.0, rel=1e-5)
    assert float(blurred.max()) < 1
    flat = torch.full((1, 3, 9, 9), 0.3)
    torch.testing.assert_close(CORRUPTIONS["gaussian_blur"](flat, 5, seed=0), flat)


@pytest.mark.parametrize(("side", "sigmas"), [(32, GAUSSIAN_NOISE.small), (64, GAUSSIAN_NOISE.large)])
def test_noise_has_the_stated_deviation(side: int, sigmas: tuple[float, ...]) -> None:
    x = torch.full((40, 3, side, side), 0.5)
    for severity, sigma in enumerate(sigmas, start=1):
        noise = CORRUPTIONS["gaussian_noise"](x, severity, seed=1) - 0.5
        # Clipping at ±0.5 leaves this standard deviation: scipy integrates the clipped normal.
        law = scipy.stats.norm(scale=sigma)
        expected = np.sqrt(law.expect(lambda value: min(abs(value), 0.5) ** 2))
        assert float(noise.std()) == pytest.approx(expected, rel=0.01)
        assert abs(float(noise.mean())) < 5 * sigma / np.sqrt(noise.numel())


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
@pytest.mark.parametrize("shape", SHAPES)
def test_range_shape_and_source_are_kept(name: str, shape: tuple[int, int, int]) -> None:
    x = images(shape)
    before = x.clone()
    distances = []
    for severity in range(1, 6):
        corrupted = CORRUPTIONS[name](x, severity, seed=0)
        assert corrupted.shape == x.shape
        assert corrupted.dtype == x.dtype
        assert 0 <= float(corrupted.min()) <= float(corrupted.max()) <= 1
        distances.append(float((corrupted - x).norm()))
    assert distances == sorted(distances)
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_keyed_by_example(name: str) -> None:
    x = images((1, 8, 8), 6)
    ids = torch.tensor([5, 9, 2, 4, 8, 1])
    whole = CORRUPTIONS[name](x, 3, seed=7, ids=ids)
    for row in range(6):
        alone = CORRUPTIONS[name](x[row : row + 1], 3, seed=7, ids=[int(ids[row])])
        torch.testing.assert_close(alone[0], whole[row], rtol=0, atol=1e-6)


def test_noise_differs_by_seed_and_example() -> None:
    x = torch.full((2, 1, 8, 8), 0.5)
    noise = CORRUPTIONS["gaussian_noise"]
    assert not torch.equal(noise(x, 1, seed=0)[0], noise(x, 1, seed=0)[1])
    assert not torch.equal(noise(x, 1, seed=0), noise(x, 1, seed=1))


@pytest.mark.parametrize("severity", [0, 6, -1])
@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_severity_out_of_range(name: str, severity: int) -> None:
    with pytest.raises(UsageError, match="severity"):
        CORRUPTIONS[name](torch.zeros(1, 1, 8, 8), severity, seed=0)
