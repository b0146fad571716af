"""JPEG and pixelate against Pillow, rubber sheets against scipy."""

from __future__ import annotations

import io

import numpy as np
import pytest
import scipy.ndimage
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from raiaudit.attacks.corruptions import CORRUPTIONS
from raiaudit.attacks.corruptions.geometry import PIXELATE, sampled, triangle_map
from raiaudit.attacks.corruptions.jpeg import (
    CHROMINANCE,
    JPEG_COMPRESSION,
    LUMINANCE,
    compressed,
    quantisation,
)

SHAPES = [(1, 8, 8), (3, 17, 23), (1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 70, 65), (3, 224, 224)]
BYTES = NDArray[np.uint8]


def picture(shape: tuple[int, int, int]) -> BYTES:
    """H×W×C bytes: random colours at a quarter of the size, smoothly enlarged."""
    channels, height, width = shape
    coarse = np.random.default_rng(0).integers(
        0, 256, (channels, height // 4 + 2, width // 4 + 2), dtype=np.uint8
    )
    planes = [
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))
        for plane in coarse
    ]
    return np.stack(planes, axis=-1)


def as_tensor(pixels: BYTES) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def as_image(pixels: BYTES) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def through_pillow(pixels: BYTES, quality: int) -> BYTES:
    file = io.BytesIO()
    as_image(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).reshape(pixels.shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_jpeg_is_pillows(shape: tuple[int, int, int]) -> None:
    """libjpeg computes in whole numbers, so that now and then a coefficient rounds to the other step."""
    pixels = picture(shape)
    for quality in (95, 80, 65, 50, 40, 25, 10, 7):
        expected = through_pillow(pixels, quality).astype(int)
        found = compressed(as_tensor(pixels), quality)[0].permute(1, 2, 0).mul(255).round().int().numpy()
        apart, lost = np.abs(found - expected), np.abs(expected - pixels.astype(int))
        assert apart.mean() < 1.0, (quality, apart.mean())
        assert (apart <= 2).mean() > 0.85, (quality, (apart <= 2).mean())
        assert quality > 80 or apart.mean() < 0.25 * lost.mean(), (quality, apart.mean(), lost.mean())


def test_jpeg_is_pillows_on_real_photographs(data_home: object) -> None:
    images = np.load(f"{data_home}/cifar10_5k/cifar10_5k.npz")["x_test"][:40]
    for severity, quality in enumerate(JPEG_COMPRESSION.small, start=1):
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        found = (
            CORRUPTIONS["jpeg_compression"](x, severity, seed=0).permute(0, 2, 3, 1).mul(255).round().numpy()
        )
        expected = np.stack([through_pillow(image, quality) for image in images]).astype(float)
        assert np.abs(found - expected).mean() < 0.3
        assert (np.abs(found - expected) <= 2).mean() > 0.95


def test_quantisation_tables_are_those_in_pillows_files() -> None:
    for quality in (1, 7, 25, 49, 50, 80, 100):
        file = io.BytesIO()
        as_image(picture((3, 16, 16))).save(file, "JPEG", quality=quality)
        tables = Image.open(file).quantization  # type: ignore[attr-defined]  # of JPEG images alone
        assert quantisation(LUMINANCE, quality).int().tolist() == list(tables[0])
        assert quantisation(CHROMINANCE, quality).int().tolist() == list(tables[1])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pixelate_is_pillows_box_filter(shape: tuple[int, int, int]) -> None:
    pixels = picture(shape)
    height, width = shape[1:]
    for severity in range(1, 6):
        x = as_tensor(pixels)
        share = PIXELATE.of(x, severity)
        small = as_image(pixels).resize((int(width * share), int(height * share)), Image.Resampling.BOX)
        expected = np.asarray(small.resize((width, height), Image.Resampling.BOX)).reshape(pixels.shape)
        found = CORRUPTIONS["pixelate"](x, severity, seed=0)[0].permute(1, 2, 0).mul(255).numpy()
        apart = np.abs(found - expected) > 1.6  # Pillow rounds after each of its passes
        # Where a pixel's middle lies on an edge between cells, Pillow's floating point picks either of them.
        assert apart.mean() < (0.2 if shape == (3, 17, 23) else 1e-9)


@pytest.mark.parametrize(("around_pixel", "mode"), [(True, "mirror"), (False, "reflect")])
def test_sampling_is_scipys(around_pixel: bool, mode: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 1, 11, 14, generator=generator, dtype=torch.float64)
    place = torch.rand(1, 40, 50, 2, generator=generator, dtype=torch.float64) * 30 - 8
    at = [place[0, ..., 1].numpy(), place[0, ..., 0].numpy()]
    expected = scipy.ndimage.map_coordinates(x[0, 0].numpy(), at, order=1, mode=mode)
    np.testing.assert_allclose(
        sampled(x, place, around_pixel=around_pixel)[0, 0].numpy(), expected, atol=1e-9
    )


def test_the_affine_map_undoes_the_moves() -> None:
    moved = torch.rand(5, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4 - 2
    back = triangle_map(21, 30, moved)
    corners = torch.tensor([[15.0 + 7, 10 + 7], [15 + 7, 10 - 7], [15 - 7, 10 - 7]], dtype=torch.float64)
    landed = (corners + moved) @ back[:, :, :2].mT + back[:, None, :, 2]
    torch.testing.assert_close(landed, corners.expand(5, 3, 2))


def test_rubber_moves_pixels_as_far_as_stated() -> None:
    """A ramp shows where each pixel came from: at severity 1 corners move by up to 0.08 of the side."""
    side = 60
    ramp = torch.linspace(0, 1, side).expand(40, 1, side, side).clone()
    moved = (CORRUPTIONS["elastic_transform"](ramp, 1, seed=0) - ramp)[:, 0] * (side - 1)
    third = torch.tensor([side // 2 - side // 3, side // 2 + side // 3])
    corners = moved[:, third][:, :, third].abs()
    assert float(corners.max()) < 3.3 * 0.08 * side  # the fourth corner adds the moves of three
    assert float(corners.mean()) > 0.02 * side
    turned = CORRUPTIONS["elastic_transform"](ramp.mT, 1, seed=0)
    assert not torch.allclose(turned, ramp.mT, atol=1e-3)
