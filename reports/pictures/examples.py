"""Pictures of examples as PNG: what a map marks, what an adversary changed, what they were learnt from.

Rows come from the evidence tables `explanations.attribution/maps`, `explanations.influence/pictures`,
`explanations.stability/pairs` and `robustness.evasion/examples`:
flat floats with `shape` [C, H, W] (or [H, W, C], or [H, W]); inputs in [0, 1]. Rows that are not images
(texts, tables) have no picture: the functions return None.

The sign of a map is told twice, so that it survives a print without colour and eyes that see fewer of them:
what speaks for the prediction is solid vermillion ("orange" to people), what speaks against it blue in
white stripes.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Pixels = NDArray[np.float64]  # [H, W, 3], in [0, 1]

__all__ = ["adversarial_picture", "beside", "blended", "map_pair", "picture", "plane", "saliency_overlay"]

_MAGNIFIED = 10.0
_SIDE = 176  # pixels; small images are enlarged by whole factors, without smoothing
_LARGE = 224  # where there is room for one
_FOR = np.array([0.835, 0.369, 0.0])  # vermillion: evidence for the prediction
_AGAINST = np.array([0.0, 0.447, 0.698])  # blue, in stripes: evidence against it
_STRIPES = 44  # across the height of a picture, blue and white ones together
_PALE = 0.6  # the darkest grey under a map: lighter than both colours are in print


def saliency_overlay(row: Mapping[str, Any]) -> bytes | None:
    """The input in pale grey under its map: solid vermillion for the prediction, striped blue against."""
    if (image := _pixels(row["input"], row["shape"])) is None:
        return None
    overlay = _overlay(row["input"], row["map"], row["shape"], _factor(len(image), _SIDE))
    return None if overlay is None else _png(overlay)


def map_pair(row: Mapping[str, Any]) -> bytes | None:
    """Two columns, before and after an attack on the map: the input, and below it the map over it."""
    if (before := _pixels(row["input"], row["shape"])) is None:
        return None
    height, width, _ = before.shape
    thin = max(1, height // 14)
    factor = _factor(2 * height + thin, _SIDE)
    columns = []
    for values, weights in ((row["input"], row["map"]), (row["attacked"], row["attacked_map"])):
        image, overlay = _pixels(values, row["shape"]), _overlay(values, weights, row["shape"], factor)
        if image is None or overlay is None:
            return None
        gap = np.ones((thin * factor, width * factor, 3))
        columns.append(np.concatenate([_enlarged(image, factor), gap, overlay]))
    between = np.ones((len(columns[0]), max(1, width // 14) * factor, 3))
    return _png(np.concatenate([columns[0], between, columns[1]], axis=1))


def blended(row: Mapping[str, Any], opacity: float) -> bytes | None:
    """The input under the map at an opacity from 0 (the input alone) to 1 (the map alone, on white).

    The input's own colours fade as the map comes, lest they be taken for the map's.
    """
    image, weights = _pixels(row["input"], row["shape"]), plane(row["map"], row["shape"])
    if image is None or weights is None:
        return None
    factor = _factor(len(image), _LARGE)
    strength, colour = _ink(_enlarged(weights, factor))
    over = 1 - strength + colour * strength
    faded = image * (1 - opacity) + image.mean(axis=2, keepdims=True) * opacity
    return _png(_enlarged(faded, factor) * (1 - opacity) + over * opacity)


def picture(values: Any, shape: Any) -> bytes | None:
    """An image alone."""
    image = _pixels(values, shape)
    return None if image is None else _png(image, _LARGE)


def _overlay(values: Any, relevance: Any, shape: Any, factor: int) -> Pixels | None:
    """Enlarged, for stripes are finer than the pixels of a small image."""
    image, weights = _pixels(values, shape), plane(relevance, shape)
    if image is None or weights is None:
        return None
    strength, colour = _ink(_enlarged(weights, factor))
    grey = _PALE + (1 - _PALE) * (1 - _enlarged(image, factor).mean(axis=2, keepdims=True))
    mixed: Pixels = grey * (1 - 0.85 * strength) + colour * 0.85 * strength
    return mixed


def _ink(weights: NDArray[np.float64]) -> tuple[Pixels, Pixels]:
    """How strongly each pixel is coloured, [H, W, 1] in [0, 1], and with what."""
    peak = np.quantile(np.abs(weights), 0.995) or np.abs(weights).max() or 1.0
    width = max(1, round(weights.shape[0] / _STRIPES))
    down, across = np.indices(weights.shape)
    stripes = np.where(((down + across) // width % 2 == 0)[..., None], _AGAINST, 1.0)
    colour = np.where(weights[..., None] >= 0, _FOR, stripes)
    return np.clip(np.abs(weights) / peak, 0, 1)[..., None], colour


def adversarial_picture(row: Mapping[str, Any]) -> tuple[bytes, float] | None:
    """Clean, perturbation, adversarial, and by what the perturbation is multiplied around mid-grey.

    By ten, or as far as the greatest change stays within the greys.
    """
    clean, adversarial = _pixels(row["clean"], row["shape"]), _pixels(row["adversarial"], row["shape"])
    if clean is None or adversarial is None:
        return None
    change = adversarial - clean
    peak = float(np.abs(change).max())
    factor = min(_MAGNIFIED, 0.5 / peak) if peak > 0 else _MAGNIFIED
    gap = np.ones((clean.shape[0], max(1, clean.shape[1] // 14), 3))
    return _png(np.concatenate([clean, gap, 0.5 + factor * change, gap, adversarial], axis=1)), factor


def beside(row: Mapping[str, Any]) -> bytes | None:
    """The image, a gap, and the training images `train_input` behind its prediction, in their order."""
    images = [_pixels(values, row["shape"]) for values in (row["input"], *row["train_input"])]
    shown = [image for image in images if image is not None]
    if len(shown) < len(images):
        return None
    height, width, _ = shown[0].shape
    narrow, wide = (np.ones((height, max(1, width // part), 3)) for part in (14, 4))
    parts = [shown[0], wide]
    for image in shown[1:]:
        parts += [image, narrow]
    return _png(np.concatenate(parts[:-1], axis=1))


def _pixels(values: Any, shape: Any) -> Pixels | None:
    image = _image(values, shape)
    if image is None:
        return None
    image = np.clip(image, 0, 1)
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


def plane(values: Any, shape: Any) -> NDArray[np.float64] | None:
    """A map over pixels: channels are summed; a map of H·W values has no channels to sum."""
    size = len(values) if values is not None else 0
    if len(shape) == 3 and size != int(np.prod(shape)):
        sides = shape[1:] if shape[0] in (1, 3) else shape[:2]
        return np.asarray(values, dtype=np.float64).reshape(sides) if size == int(np.prod(sides)) else None
    image = _image(values, shape)
    return None if image is None else image.sum(axis=2)


def _image(values: Any, shape: Any) -> NDArray[np.float64] | None:
    if values is None or isinstance(values, str) or len(shape) not in (2, 3):
        return None
    if len(values) != int(np.prod(shape)):
        return None
    image = np.asarray(values, dtype=np.float64).reshape(shape)
    if image.ndim == 2:
        return image[..., None]
    if shape[0] in (1, 3):
        return image.transpose(1, 2, 0)
    return image if shape[2] in (1, 3) else None


def _png(pixels: NDArray[np.float64], side: int = _SIDE) -> bytes:
    from PIL import Image

    bytes_ = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(_enlarged(bytes_, _factor(len(bytes_), side))).save(buffer, format="PNG", optimize=False)
    return buffer.getvalue()


def _factor(height: int, side: int) -> int:
    """The largest whole factor by which a picture fits `side`; those that are larger stay as they are."""
    return max(1, side // height)


def _enlarged(values: NDArray[Any], factor: int) -> NDArray[Any]:
    """Without smoothing; values are [H, W, …]."""
    return values.repeat(factor, axis=0).repeat(factor, axis=1)
