"""A folder of images with a `metadata.csv`: columns `file_name`, the label, and what else the spec names.

PNG, JPEG, BMP, TIFF, WebP and PPM, all of one size (or scaled to one) and all grey or all colour; uint8
C×H×W each. A file name that leaves the folder, or passes through a link, is refused, and so is an image of
more than 16 million pixels (its header tells, before anything is decoded). Raises `DataError` naming the
image and its row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from raiaudit.errors import DataError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["CHANNELS", "Layout", "check_header", "decode", "layout_of", "resolve_images"]

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
CHANNELS = {"1": 1, "L": 1, "P": 3, "RGB": 3}
"""Pixel modes that are read: grey or colour, 8 bits and nothing that shines through."""
_SEVERAL = ("PNG", "TIFF", "WEBP")
"""Formats whose files may hold a film or pages. (A photo's JPEG may, too: previews of itself.)"""
_MAX_PIXELS = 16 * 2**20


def resolve_images(folder: Path, names: pl.Series, where: str) -> list[Path]:
    """Paths of the images, every one a regular file inside `folder` reached through no link."""
    paths = []
    for row, name in enumerate(names, start=1):
        place = f"{where}, row {row}, column {names.name!r}"
        if not name:
            raise DataError("no file name", where=place)
        relative = PurePosixPath(str(name))
        path = folder / relative
        if relative.is_absolute() or ".." in relative.parts or "\\" in str(name):
            raise DataError(f"{name!r} leaves the folder", where=place, remedy="name files inside the folder")
        steps = [folder.joinpath(*relative.parts[: depth + 1]) for depth in range(len(relative.parts))]
        if any(step.is_symlink() for step in steps):
            raise DataError(f"{name!r} is reached through a link", where=place, remedy="copy the file")
        if not path.is_file():
            raise DataError(f"there is no file {name!r}", where=place)
        paths.append(path)
    return paths


@dataclass(frozen=True, slots=True)
class Layout:
    """What every image is made to be: its `shape` (C, H, W), and whether it is `scaled` to that size."""

    shape: tuple[int, int, int]
    scaled: bool = False


def layout_of(path: Path, size: tuple[int, int] | None) -> Layout:
    """The layout of a folder whose first image this is; `size` (H, W) scales them all to one."""
    with _open(path, str(path)) as image:
        channels = CHANNELS[image.mode]
        return Layout((channels, *(size or (image.height, image.width))), scaled=size is not None)


def check_header(path: Path, layout: Layout, place: str) -> None:
    """Raise `DataError` when the header says that the image cannot be had in this layout."""
    with _open(path, place) as image:
        _require_fit(image, layout, place)


def decode(path: Path, layout: Layout, place: str) -> NDArray[np.uint8]:
    """One image C×H×W, scaled if the layout says so: bicubic, with a support that grows when it shrinks
    (no aliasing), and without regard to its proportions.
    """
    from PIL.Image import Resampling

    channels, height, width = layout.shape
    with _open(path, place) as image:
        _require_fit(image, layout, place)
        try:
            pixels = image.convert("L" if channels == 1 else "RGB")
        except (OSError, ValueError, SyntaxError) as error:
            raise DataError(f"the image is damaged ({error})", where=place) from error
        if layout.scaled and pixels.size != (width, height):
            pixels = pixels.resize((width, height), resample=Resampling.BICUBIC)
    array = np.asarray(pixels)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


def _require_fit(image: Image, layout: Layout, place: str) -> None:
    channels = CHANNELS[image.mode]
    height, width = layout.shape[1:] if layout.scaled else (image.height, image.width)
    if (found := (channels, height, width)) != layout.shape:
        raise DataError(
            f"(channels, height, width) is {found}, but {layout.shape} in the first image",
            where=place,
            remedy="save all images with one size, all grey or all colour; `size: [H, W]` scales them",
        )


def _open(path: Path, place: str) -> Image:
    from PIL import Image

    try:
        image = Image.open(path, formats=_FORMATS)
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,  # where warnings are errors; our own cap is lower
    ) as error:
        raise DataError(
            f"not an image that is read here ({error})",
            where=place,
            remedy=f"formats: {', '.join(_FORMATS)}",
        ) from error
    if image.width * image.height > _MAX_PIXELS:
        raise DataError(f"{image.width}×{image.height} pixels; at most {_MAX_PIXELS:,}", where=place)
    if image.mode not in CHANNELS or "transparency" in image.info:
        raise DataError(
            f"pixel mode {image.mode} (transparency, 16 bits or print colours) is not read",
            where=place,
            remedy="save it as 8-bit grey or RGB",
        )
    if image.format in _SEVERAL and (frames := getattr(image, "n_frames", 1)) > 1:
        raise DataError(
            f"{frames} pictures in one file", where=place, remedy="save the one that is meant alone"
        )
    return image
