"""Small PNG pictures of images, for tables of evidence."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["thumbnail", "unit_pixels"]

_SIDE = 96


def thumbnail(pixels_CHW: NDArray[Any]) -> bytes:
    """PNG of an image with 1 or 3 channels in [0, 1]; made smaller than 96 pixels a side, never larger."""
    from PIL import Image

    values = np.round(np.clip(pixels_CHW, 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0))
    image.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def unit_pixels(inputs: NDArray[Any]) -> NDArray[np.float64]:
    """Raw images of a split, bytes as values / 255."""
    return np.asarray(inputs, dtype=np.float64) / (255.0 if inputs.dtype == np.uint8 else 1.0)
