"""Blurs against scipy, and against loops over pixels written from their definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import torch

from raiaudit.attacks.corruptions import CORRUPTIONS
from raiaudit.attacks.corruptions.blur import DEFOCUS_BLUR, GAUSSIAN_BLUR, ZOOM_BLUR, disk
from raiaudit.attacks.corruptions.glass import shuffled
from raiaudit.attacks.corruptions.motion import drawn_along
from raiaudit.attacks.corruptions.separable import inside

SHAPES = [(1, 8, 8), (3, 32, 32), (1, 28, 20), (2, 70, 65)]


def images(shape: tuple[int, ...], count: int = 2) -> torch.Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_gaussian_blur_equals_scipy(shape: tuple[int, int, int], severity: int) -> None:
    x = images(shape)
    sigma = GAUSSIAN_BLUR.of(x, severity)
    expected = scipy.ndimage.gaussian_filter(
        x.double().numpy(), sigma=(0, 0, sigma, sigma), mode="nearest", truncate=4.0
    )
    blurred = CORRUPTIONS["gaussian_blur"](x, severity, seed=0)
    np.testing.assert_allclose(blurred.numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_defocus_blur_equals_scipy(shape: tuple[int, int, int], severity: int) -> None:
    x = images(shape)
    kernel = disk(*DEFOCUS_BLUR.of(x, severity)).numpy()
    expected = scipy.ndimage.correlate(x.double().numpy(), kernel[None, None], mode="mirror")
    blurred = CORRUPTIONS["defocus_blur"](x, severity, seed=0)
    np.testing.assert_allclose(blurred.numpy(), expected, atol=3e-6)


def test_a_disk_is_one() -> None:
    """Gauss's circle problem: 5, 29, 81, 317 whole points within radius 1, 3, 5, 10."""
    for radius, points in ((1, 5), (3, 29), (5, 81), (10, 317)):
        kernel = disk(float(radius), 0.01)
        assert int((kernel > 0.5 / points).sum()) == points
        assert float(kernel.max()) == pytest.approx(1 / points)
    soft = disk(4.0, 0.5)
    assert float(soft.sum()) == pytest.approx(1)
    torch.testing.assert_close(soft, soft.T)
    torch.testing.assert_close(soft, soft.flip(0))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("severity", [1, 5])
def test_zoom_blur_equals_scipy(shape: tuple[int, int, int], severity: int) -> None:
    x = images(shape)
    count, step = ZOOM_BLUR.of(x, severity)
    middle = (np.array(shape[1:]) - 1) / 2
    total = x.double().numpy()
    for index in range(count):
        shrink = 1 / (1 + step * index)
        zoomed = [
            scipy.ndimage.affine_transform(
                plane, [shrink, shrink], middle * (1 - shrink), order=1, mode="nearest"
            )
            for plane in x.double().flatten(0, 1).numpy()
        ]
        total = total + np.stack(zoomed).reshape(total.shape)
    blurred = CORRUPTIONS["zoom_blur"](x, severity, seed=0)
    np.testing.assert_allclose(blurred.numpy(), total / (count + 1), atol=3e-6)


@pytest.mark.parametrize("angle", [-135.0, -44.0, 0.0, 17.5, 90.0])
def test_motion_follows_its_angle(angle: float) -> None:
    """Pixel by pixel: half a normal density along a line of whole pixels, held inside the image."""
    height, width, radius, sigma = 9, 12, 4, 2.0
    x = images((2, height, width), 1)
    weights = [math.exp(-(step**2) / (2 * sigma**2)) for step in range(2 * radius + 1)]
    expected = np.zeros((2, height, width))
    for row in range(height):
        for column in range(width):
            for step, weight in enumerate(weights):
                down = math.ceil(step * math.sin(math.radians(angle)) - 0.5)
                right = math.ceil(step * math.cos(math.radians(angle)) - 0.5)
                source = min(max(row + down, 0), height - 1), min(max(column + right, 0), width - 1)
                expected[:, row, column] += weight / sum(weights) * x[0, :, source[0], source[1]].numpy()
    drawn = drawn_along(x, torch.tensor([angle]), radius=radius, sigma=sigma)
    np.testing.assert_allclose(drawn[0].numpy(), expected, atol=1e-6)


def test_each_image_moves_in_its_own_direction() -> None:
    x = images((1, 16, 16), 1).repeat(3, 1, 1, 1)
    angles = torch.tensor([-30.0, 0.0, 45.0])
    together = drawn_along(x, angles, radius=4, sigma=2.0)
    for row in range(3):
        alone = drawn_along(x[:1], angles[row : row + 1], radius=4, sigma=2.0)
        torch.testing.assert_close(together[row : row + 1], alone)
    assert not torch.equal(together[0], together[2])


@pytest.mark.parametrize(
    ("height", "width", "reach"), [(8, 8, 1), (13, 17, 2), (16, 11, 3), (21, 20, 4), (5, 4, 2)]
)
def test_glass_waves_equal_the_sequence(height: int, width: int, reach: int) -> None:
    count = 3
    jumps = torch.randint(
        -reach, reach, (2, height * width, count), generator=torch.Generator().manual_seed(1)
    )
    start = torch.arange(height * width)[:, None].repeat(1, count)
    expected = start.clone().tolist()
    for row in range(height - reach, reach, -1):
        for column in range(width - reach, reach, -1):
            for image in range(count):
                down, right = jumps[:, row * width + column, image].tolist()
                other = (row + down) * width + column + right
                expected[row * width + column][image] = expected[other][image]
    assert shuffled(start, jumps, height, width, reach).tolist() == expected


def test_glass_takes_values_from_near() -> None:
    """Severity 1 of small images hardly blurs, so what it gives are values of a neighbour."""
    x = images((1, 12, 12), 1)
    glass = CORRUPTIONS["glass_blur"](x, 1, seed=0)[0, 0]
    for row in range(12):
        for column in range(12):
            near = x[0, 0, max(row - 1, 0) : row + 1, max(column - 1, 0) : column + 1]
            assert bool((near == glass[row, column]).any())
    assert float((glass != x[0, 0]).float().mean()) > 0.4


@pytest.mark.parametrize("border", ["nearest", "symmetric", "mirror"])
def test_borders_are_numpys(border: str) -> None:
    mode = {"nearest": "edge", "symmetric": "symmetric", "mirror": "reflect"}[border]
    for size in (1, 2, 5):
        if size == 1 and border == "mirror":
            continue  # numpy refuses; ours repeats the only pixel
        expected = np.pad(np.arange(size), 7, mode=mode)  # type: ignore[call-overload]  # a name from a table
        found = inside(torch.arange(-7, size + 7), size, border)  # type: ignore[arg-type]  # likewise
        assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["gaussian_blur", "defocus_blur", "motion_blur", "zoom_blur", "glass_blur"])
def test_blur_leaves_what_is_flat(name: str) -> None:
    for shape in ((3, 9, 9), (1, 64, 64)):
        flat = torch.full((1, *shape), 0.3)
        torch.testing.assert_close(CORRUPTIONS[name](flat, 5, seed=0), flat)


@pytest.mark.parametrize("name", ["gaussian_blur", "defocus_blur"])
def test_blur_preserves_light(name: str) -> None:
    """What is far enough from the border is spread, not lost."""
    x = torch.zeros(1, 1, 24, 24)
    x[0, 0, 10:14, 9:12] = 1.0
    blurred = CORRUPTIONS[name](x, 5, seed=0)
    assert float(blurred.sum()) == pytest.approx(12.0, rel=1e-5)
    assert float(blurred.max()) < 1 or name == "defocus_blur"
