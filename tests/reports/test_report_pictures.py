"""Pictures, decoded again: sizes, colours by sign, and what is not an image."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from raiaudit.reports.pictures.examples import adversarial_picture, blended, saliency_overlay


def pixels(png: bytes | None) -> Any:
    assert png is not None
    return np.asarray(Image.open(io.BytesIO(png))).astype(int)


def row(**changes: Any) -> dict[str, Any]:
    base = {"shape": [1, 2, 2], "input": [0.0, 0.0, 0.0, 0.0], "map": [1.0, -1.0, 0.0, 0.0]}
    return base | changes


def test_for_is_warm_against_is_cold_nothing_is_grey() -> None:
    image = pixels(saliency_overlay(row()))
    half = image.shape[0] // 2
    warm, cold, nothing = (
        part.reshape(-1, 3).mean(axis=0) for part in (image[:half, :half], image[:half, half:], image[half:])
    )
    assert warm[0] > warm[2] + 100
    assert cold[2] > cold[0] + 50
    assert nothing[0] == nothing[1] == nothing[2]


def grey(image: Any) -> Any:
    """As printed without colour (ITU-R BT.601)."""
    return image @ np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize("side", [2, 28, 64, 300])
@pytest.mark.parametrize("brightness", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("drawn", [saliency_overlay, lambda row: blended(row, 0.6)])
def test_without_colour_for_is_solid_and_against_is_striped(drawn: Any, brightness: float, side: int) -> None:
    """The left half speaks for, the right half against: the one is even, the other light and dark."""
    weights = np.ones((side, side))
    weights[:, side // 2 :] = -1
    given = row(shape=[1, side, side], input=[brightness] * side**2, map=weights.ravel().tolist())
    image = grey(pixels(drawn(given)))
    half = image.shape[1] // 2
    solid, striped = image[:, :half], image[:, half:]
    assert np.ptp(solid) <= 1
    assert np.quantile(striped, 0.9) - np.quantile(striped, 0.1) >= 60
    assert 0.3 <= (striped > striped.mean()).mean() <= 0.7


@pytest.mark.parametrize("brightness", [0.0, 0.5, 1.0])
def test_without_colour_what_speaks_for_stands_out_from_what_says_nothing(brightness: float) -> None:
    given = row(input=[brightness] * 4, map=[1.0, 0.0, 0.0, 0.0])
    image = grey(pixels(saliency_overlay(given)))
    assert image[-1, -1] - image[0, 0] >= 25


@pytest.mark.parametrize("shape", [[3, 2, 2], [2, 2, 3], [2, 2]])
def test_every_layout_of_an_image_is_understood(shape: list[int]) -> None:
    size = int(np.prod(shape))
    image = pixels(saliency_overlay(row(shape=shape, input=[0.5] * size, map=[0.1] * size)))
    assert image.shape[2] == 3
    assert image.shape[0] == image.shape[1]


def test_a_map_over_pixels_of_a_colour_image_has_one_value_a_pixel() -> None:
    image = pixels(saliency_overlay(row(shape=[3, 2, 2], input=[0.5] * 12, map=[1.0, 0.0, 0.0, 0.0])))
    assert image[0, 0, 0] > image[0, 0, 2] + 100


@pytest.mark.parametrize(
    "changes", [{"shape": [4]}, {"input": None}, {"input": "a text"}, {"map": [1.0]}, {"shape": [5, 2, 2]}]
)
def test_what_is_not_an_image_has_no_picture(changes: dict[str, Any]) -> None:
    assert saliency_overlay(row(**changes)) is None


def test_a_constant_map_is_not_divided_by_zero() -> None:
    assert pixels(saliency_overlay(row(map=[0.0] * 4))).max() <= 255


def shown(picture: tuple[bytes, float] | None) -> tuple[Any, float]:
    assert picture is not None
    return pixels(picture[0]), picture[1]


def test_the_perturbation_lies_between_the_images_ten_times_around_grey() -> None:
    picture = {"shape": [1, 1, 2], "clean": [0.2, 0.6], "adversarial": [0.2, 0.63]}
    image, factor = shown(adversarial_picture(picture))
    unit = image.shape[0]  # columns: clean 2, gap 1, perturbation 2, gap 1, adversarial 2
    assert factor == 10
    assert [image[0, unit * column, 0] for column in (0, 1, 3, 6)] == [51, 153, 128, 51]
    assert abs(image[0, 4 * unit, 0] - 255 * 0.8) <= 1
    assert abs(image[0, 7 * unit, 0] - 255 * 0.63) <= 1


def test_a_large_perturbation_is_magnified_as_far_as_it_fits() -> None:
    picture = {"shape": [1, 1, 2], "clean": [0.2, 0.6], "adversarial": [0.2, 0.8]}
    image, factor = shown(adversarial_picture(picture))
    assert factor == pytest.approx(2.5)
    assert image[0, 4 * image.shape[0], 0] == 255


def test_texts_have_no_adversarial_picture() -> None:
    assert adversarial_picture({"shape": [], "clean": "good", "adversarial": "g00d"}) is None


def test_colours_of_the_input_are_not_taken_for_the_maps() -> None:
    """A red photo under a map of nothing but one pixel: red alone, hardly red under a map, white at last."""
    red = [0.9] * 4 + [0.2] * 8
    given = row(shape=[3, 2, 2], input=red, map=[1.0, 0.0, 0.0, 0.0])
    excess = [float(np.subtract(*pixels(blended(given, opacity))[-1, -1, :2])) for opacity in (0, 0.6, 1)]
    assert excess[0] == pytest.approx(0.7 * 255, abs=1)
    assert 0 < excess[1] < 0.2 * excess[0]
    assert excess[2] == 0
