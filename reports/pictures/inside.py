"""Pictures from inside a model as PNG: a channel beside real images, the atlas, where heads look.

Rows come from the evidence tables of `explanations.inside`, whose small pictures are PNG bytes already.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl
    from PIL.Image import Image

__all__ = ["atlas_picture", "attention_picture", "channel_picture", "enlarged", "patch_grid"]

_TILE = 88
_GAP = 6
_ATLAS_TILE = 56
_ERRORS = (213, 94, 0)  # vermillion, as everywhere for what is wrong
_LOOKED = np.array([0.835, 0.369, 0.0])
_MOST_TILES = 64  # heads in one picture


def channel_picture(row: Mapping[str, Any]) -> bytes | None:
    """What was made to excite the channel, a wider gap, then the real images that excite it most."""
    if row["picture"] is None:
        return None
    real = [image for image in row["images"] or [] if image is not None]
    sheet = _sheet((2 * _GAP if real else 0) + _TILE + len(real) * (_TILE + _GAP), _TILE)
    sheet.paste(_tile(row["picture"], _TILE), (0, 0))
    for place, image in enumerate(real):
        sheet.paste(_tile(image, _TILE), (_TILE + 3 * _GAP + place * (_TILE + _GAP), 0))
    return _bytes(sheet)


def enlarged(png: bytes) -> bytes:
    """A small picture at a size at which a browser does not blur it."""
    return _bytes(_tile(png, 2 * _TILE))


def atlas_picture(cells: pl.DataFrame) -> bytes | None:
    """Every cell at its place, as its icon; smaller where fewer examples lie, framed where errors gather.

    `cells` as the table `atlas`; a cell without icon is a grey square. None for no cells.
    """
    from PIL import ImageDraw

    if cells.is_empty():
        return None
    grid = int(cells["grid"][0])
    step = _ATLAS_TILE + 2
    sheet = _sheet(grid * step, grid * step)
    pen = ImageDraw.Draw(sheet)
    fullest = max(cells["n"].to_list())
    for cell in cells.iter_rows(named=True):
        # Area with the number of examples, as in the published atlas; half a side at least, to be seen.
        side = round(_ATLAS_TILE * max(0.5, math.sqrt(cell["n"] / fullest)))
        left = cell["column"] * step + (step - side) // 2
        top = cell["row"] * step + (step - side) // 2
        if cell["icon"] is not None:
            sheet.paste(_tile(cell["icon"], side), (left, top))
        else:
            pen.rectangle((left, top, left + side - 1, top + side - 1), fill=(214, 219, 224))
        if cell["more_errors"]:
            pen.rectangle((left - 1, top - 1, left + side, top + side), outline=_ERRORS, width=3)
    return _bytes(sheet)


def patch_grid(tokens: int, width: int, height: int) -> tuple[int, int] | None:
    """Rows and columns of patches, square ones, that make up an image; None where they cannot."""
    rows = round(math.sqrt(tokens * height / width))
    if rows == 0 or tokens % rows or rows * width != (tokens // rows) * height:
        return None
    return rows, tokens // rows


def attention_picture(row: Mapping[str, Any]) -> bytes | None:
    """The image under each head's attention: a row a layer, a column a head. None for what is no image."""
    if row["image"] is None:
        return None
    layers, heads, tokens = row["shape"]
    image = _tile(row["image"], _TILE)
    grid = patch_grid(tokens, *_size(row["image"]))
    if grid is None or layers * heads > _MOST_TILES:
        return None
    looks_AHRC = np.asarray(row["looks"], dtype=np.float64).reshape(layers, heads, *grid)
    grey = 0.35 + 0.65 * (1 - np.asarray(image, dtype=np.float64).mean(2, keepdims=True) / 255)
    step = _TILE + _GAP
    sheet = _sheet(heads * step - _GAP, layers * step - _GAP)
    for layer in range(layers):
        for head in range(heads):
            peak = looks_AHRC[layer, head].max() or 1.0
            strength = _spread(looks_AHRC[layer, head] / peak)[..., None] * 0.85
            mixed = grey * (1 - strength) + _LOOKED * strength
            sheet.paste(_image(mixed), (head * step, layer * step))
    return _bytes(sheet)


def _spread(weights: Any) -> Any:
    """One value a patch over the tile's pixels."""
    rows, columns = weights.shape
    return weights[np.arange(_TILE) * rows // _TILE][:, np.arange(_TILE) * columns // _TILE]


def _size(png: bytes) -> tuple[int, int]:
    from PIL import Image

    return Image.open(io.BytesIO(png)).size


def _tile(png: bytes, side: int) -> Image:
    """A square tile; small images enlarged without smoothing."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    how = Image.Resampling.NEAREST if image.width < side else Image.Resampling.BILINEAR
    return image.resize((side, side), how)


def _sheet(width: int, height: int) -> Image:
    from PIL import Image

    return Image.new("RGB", (width, height), "white")


def _image(pixels: Any) -> Image:
    from PIL import Image

    return Image.fromarray(np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def _bytes(image: Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=False)
    return buffer.getvalue()
