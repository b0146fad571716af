"""Weather and colour: closed forms on flat scenes, the standard library's HSV, diamond-square by hand."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import scipy.ndimage
import torch

from raiaudit.attacks import randomness
from raiaudit.attacks.corruptions import CORRUPTIONS
from raiaudit.attacks.corruptions.colour import BRIGHTNESS, CONTRAST, SATURATE
from raiaudit.attacks.corruptions.plasma import plasma
from raiaudit.attacks.corruptions.spatter import SPATTER, distance, equalised
from raiaudit.attacks.corruptions.weather import FOG, FROST, SNOW

SIDES = pytest.mark.parametrize("side", [32, 64])


def colours(side: int) -> torch.Tensor:
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    x[0, :, 0, 0], x[0, :, 0, 1], x[0, :, 0, 2] = 0.0, 1.0, 0.4  # black, white, grey
    return x


@SIDES
@pytest.mark.parametrize("severity", [1, 3, 5])
@pytest.mark.parametrize("name", ["brightness", "saturate"])
def test_light_and_colour_are_those_of_hsv(name: str, severity: int, side: int) -> None:
    x = colours(side)
    expected = np.empty(x.shape)
    for index in np.ndindex(2, side, side):
        image, row, column = index
        hue, saturation, value = colorsys.rgb_to_hsv(*x[image, :, row, column].double().tolist())
        if name == "brightness":
            value = min(value + BRIGHTNESS.of(x, severity), 1.0)
        else:
            factor, added = SATURATE.of(x, severity)
            saturation = min(max(factor * saturation + added, 0.0), 1.0)
        expected[image, :, row, column] = colorsys.hsv_to_rgb(hue, saturation, value)
    np.testing.assert_allclose(CORRUPTIONS[name](x, severity, seed=0).numpy(), expected, atol=1e-5)


def test_one_channel_has_light_but_no_colour() -> None:
    x = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(CORRUPTIONS["saturate"](x, 5, seed=0), x)
    torch.testing.assert_close(CORRUPTIONS["brightness"](x, 5, seed=0), (x + 0.3).clamp(max=1))


@SIDES
def test_contrast_keeps_the_mean_and_scales_the_spread(side: int) -> None:
    x = colours(side)
    for severity in range(1, 6):
        flatter = CORRUPTIONS["contrast"](x, severity, seed=0)
        torch.testing.assert_close(flatter.mean((2, 3)), x.mean((2, 3)))
        torch.testing.assert_close(flatter.std((2, 3)), CONTRAST.of(x, severity) * x.std((2, 3)))


def test_plasma_is_diamond_square_by_hand() -> None:
    side, decay = 16, 2.5
    unit = randomness.uniform(torch.tensor([4]), (side, side), seed=1, stream="test")[0].double().numpy()
    height = np.zeros((side, side))
    step, wibble = side, 100.0
    while step >= 2:
        half = step // 2
        for row in range(half, side, step):
            for column in range(half, side, step):
                four = [
                    height[(row + down) % side, (column + right) % side]
                    for down in (-half, half)
                    for right in (-half, half)
                ]
                height[row, column] = sum(four) / 4 + wibble**2 * (2 * unit[row, column] - 1)
        for row in range(0, side, half):
            for column in range((row + half) % step, side, step):
                around = ((-half, 0), (half, 0), (0, -half), (0, half))
                four = [height[(row + down) % side, (column + right) % side] for down, right in around]
                height[row, column] = sum(four) / 4 + wibble**2 * (2 * unit[row, column] - 1)
        step, wibble = half, wibble / decay
    expected = (height - height.min()) / (height.max() - height.min())
    found = plasma(torch.tensor([4]), side, decay=decay, seed=1, stream="test")[0]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


@SIDES
def test_fog_on_a_flat_scene_is_its_cloud(side: int) -> None:
    """(x + c·p)·x / (x + c) for p from 0 to 1, so from x² / (x + c) to x: where the map fills the image."""
    x = torch.full((3, 1, side, side), 0.8)
    for severity in range(1, 6):
        thickness, _ = FOG.of(x, severity)
        fogged = CORRUPTIONS["fog"](x, severity, seed=0)
        torch.testing.assert_close(fogged.amin((1, 2, 3)), torch.full((3,), 0.64 / (0.8 + thickness)))
        torch.testing.assert_close(fogged.amax((1, 2, 3)), torch.full((3,), 0.8))


@SIDES
def test_snow_on_a_flat_scene_is_symmetric_and_never_darker(side: int) -> None:
    """Flakes fall together with their half turn, over a scene that is whitened by what is kept."""
    x = torch.full((4, 3, side, side), 0.1)
    for severity in range(1, 6):
        snowed = CORRUPTIONS["snow"](x, severity, seed=0)
        torch.testing.assert_close(snowed, snowed.flip(-1, -2))
        kept = SNOW.of(x, severity)[-1]
        bare = kept * 0.1 + (1 - kept) * (1.5 * 0.1 + 0.5)
        assert float(snowed.min()) >= bare - 1e-6
        assert float((snowed > bare + 1e-4).float().mean()) > 0.002


@SIDES
def test_frost_is_as_bright_as_photographs_of_it(side: int) -> None:
    """Over black, c₂ times the ice: 0.47 to 0.82 at contrast 0.1, bluish; over a scene, c₁ of it more."""
    black = torch.zeros(60, 3, side, side)
    for severity in (1, 5):
        kept, laid = FROST.of(black, severity)
        ice = CORRUPTIONS["frost"](black, severity, seed=0) / laid
        means = ice.mean((2, 3))
        assert bool((means[:, 0] < means[:, 1]).all())
        assert bool((means[:, 1] <= means[:, 2] + 1e-6).all())
        assert 0.44 < float(means[:, 1].min()) < 0.55
        assert 0.74 < float(means[:, 1].max()) < 0.84
        assert float(means[:, 1].mean()) == pytest.approx(0.645, abs=0.04)
        assert float(ice[:, 1].std((1, 2)).mean()) == pytest.approx(0.1, abs=0.015)
        scene = torch.full_like(black, 0.2)
        expected = (kept * 0.2 + laid * ice).clamp(0, 1)
        torch.testing.assert_close(CORRUPTIONS["frost"](scene, severity, seed=0), expected)


def test_distance_is_scipys_up_to_its_limit() -> None:
    mask = torch.rand(6, 1, 33, 47, generator=torch.Generator().manual_seed(0)) < 0.004
    mask[0, 0, 3, 4] = True
    expected = np.stack([scipy.ndimage.distance_transform_edt(~image[0].numpy()) for image in mask])
    found = distance(mask)[:, 0].numpy()
    held = mask.flatten(1).any(1).numpy()
    np.testing.assert_allclose(np.minimum(found, 20)[held], np.minimum(expected, 20)[held], rtol=1e-6)
    assert bool((distance(torch.zeros(1, 1, 5, 5, dtype=torch.bool)) >= 20).all())


def test_equalisation_spreads_ranks() -> None:
    x = torch.tensor([[7.0, 7.0, 9.0, 20.0, 20.0, 20.0, 21.0, 21.0]]).view(1, 1, 2, 4)
    # Cumulated counts 2, 3, 6, 8 less the first 2, over the other 6 values: 0, 1/6, 4/6, 1 of 255.
    assert equalised(x).flatten().tolist() == [0, 0, 42, 170, 170, 170, 255, 255]
    flat = torch.full((2, 1, 4, 4), 3.0)
    assert float(equalised(flat).max()) == 0


@SIDES
def test_water_adds_light_and_mud_covers(side: int) -> None:
    x = torch.full((20, 3, side, side), 0.2)
    water, mud = torch.tensor([175, 238, 238]) / 255, torch.tensor([63, 42, 20]) / 255
    for severity in (1, 2, 3):
        opacity = SPATTER.of(x, severity)[4]
        added = CORRUPTIONS["spatter"](x, severity, seed=0) - x
        assert float(added.min()) >= -1e-6
        strongest = added.amax((2, 3))
        wet = strongest[:, 0] > 0.01
        assert bool(wet.any())
        torch.testing.assert_close(
            strongest[wet], (opacity * water).expand(int(wet.sum()), 3), atol=1e-4, rtol=0
        )
    for severity in (4, 5):
        covered = CORRUPTIONS["spatter"](x, severity, seed=0)
        left = (covered - mud[:, None, None]) / (x - mud[:, None, None])  # 1: untouched; at most 0.2: mud
        assert bool(((left > 1 - 1e-4) | (left < 0.2 + 1e-3)).all())
        assert 0.003 < float((left < 0.5).float().mean()) < 0.5
