"""A folder of images with a `metadata.csv`: columns `file_name`, the label, and what else the spec names.

PNG, JPEG, BMP, TIFF, WebP and PPM, all of one size and all grey or all colour; uint8 N×C×H×W. A file name
that leaves the folder, or passes through a link, is refused, and so is an image of more than 16 million
pixels (its header tells, before anything is decoded). Raises `DataError` naming the row or the image.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from raiaudit.errors import DataError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["image_shape", "read_images", "resolve_images"]

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")
_CHANNELS = {"1": 1, "L": 1, "P": 3, "RGB": 3}
_MAX_PIXELS = 16 * 2**20
_MAX_BYTES = 4 * 2**30


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


def image_shape(paths: Sequence[Path]) -> tuple[int, int, int]:
    """(C, H, W) of the first image, from its header, if that many such images can be held."""
    with _open(paths[0]) as image:
        shape = _CHANNELS[image.mode], image.height, image.width
    if (total := len(paths) * int(np.prod(shape))) > _MAX_BYTES:
        raise DataError(
            f"{len(paths)} images of {shape} are {total:,} bytes; at most {_MAX_BYTES:,} are read",
            where=str(paths[0].parent),
            remedy="audit a sample, or save smaller images",
        )
    return shape


def read_images(paths: Sequence[Path], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Images N×C×H×W, each of exactly `shape`."""
    images_NCHW = np.empty((len(paths), *shape), dtype=np.uint8)
    for index, path in enumerate(paths):
        with _open(path) as image:
            found = _CHANNELS[image.mode], image.height, image.width
            if found != shape:
                raise DataError(
                    f"(channels, height, width) is {found}, but {shape} in the first image",
                    where=str(path),
                    remedy="save all images with one size, all grey or all colour",
                )
            try:
                pixels = np.asarray(image.convert("L" if shape[0] == 1 else "RGB"))
            except (OSError, ValueError, SyntaxError) as error:
                raise DataError(f"the image is damaged ({error})", where=str(path)) from error
        images_NCHW[index] = pixels[None] if shape[0] == 1 else pixels.transpose(2, 0, 1)
    return images_NCHW


def _open(path: Path) -> Image:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the cap below is lower
            image = Image.open(path, formats=_FORMATS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(
            f"not an image that is read here ({error})",
            where=str(path),
            remedy=f"formats: {', '.join(_FORMATS)}",
        ) from error
    if image.width * image.height > _MAX_PIXELS:
        raise DataError(f"{image.width}×{image.height} pixels; at most {_MAX_PIXELS:,}", where=str(path))
    if image.mode not in _CHANNELS:
        raise DataError(
            f"pixel mode {image.mode} (transparency, 16 bits or print colours) is not read",
            where=str(path),
            remedy="save it as 8-bit grey or RGB",
        )
    return image
