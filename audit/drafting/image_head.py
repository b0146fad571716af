"""What a folder of images or an npz file looks like, from headers: no pixel is decoded and no array read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raiaudit.audit.drafting.column_names import GROUPS
from raiaudit.audit.drafting.guesses import MOST_GROUPS, called
from raiaudit.errors import DataError
from raiaudit.models.data.class_folders import read_class_folders
from raiaudit.models.data.user_content import METADATA
from raiaudit.models.data.user_images import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["ArraysHead", "ImagesHead", "read_arrays_head", "read_images_head"]

_LOOKED_AT = 5_000  # headers; of more images every second, third, …
_KINDS = {1: "grey", 3: "colour"}
_LARGEST = 64  # side to which larger images are scaled by the drafted spec


@dataclass(frozen=True, slots=True)
class ImagesHead:
    """`count` images of `classes`; `size` (H, W) is what they are to be scaled to, None where they fit as
    they are; `side` and `channels` are what a model will see. `described`: a metadata.csv says what they are.
    """

    classes: tuple[str, ...]
    count: int
    side: int
    channels: int
    size: tuple[int, int] | None
    why_size: str
    split: bool
    described: bool
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ArraysHead:
    """Rows of the training array, and the shape of one input: (D,) or that of an image; the number of classes
    and the share of the commonest among the training labels.
    """

    rows: int
    shape: tuple[int, ...]
    groups: tuple[str, ...]
    classes: int
    majority: float


def read_images_head(folder: Path, *, label: str) -> ImagesHead:
    """Raises `DataError` where the folder has neither a metadata.csv nor folders of classes."""
    described = (folder / METADATA).exists()
    if described:
        from raiaudit.models.data.user_files import read_table, require_columns

        source = read_table(folder / METADATA, "csv", text=None)
        require_columns(source.frame.columns, ("file_name", label), source.where)
    else:
        found = read_class_folders(folder, label=label)
        if found is None:
            raise DataError(
                "neither a metadata.csv nor folders of images by class",
                where=str(folder),
                remedy="make one folder a class (pets/cat, pets/dog), or a metadata.csv with file_name,label",
            )
        source = found
    frame = source.frame
    names = frame["file_name"].to_list()
    step = max(1, len(names) // _LOOKED_AT)
    looked_at = names[::step]
    shapes = [_shape(folder / name) for name in looked_at]
    _require_one_kind(folder, dict(zip(looked_at, (mode for mode, _, _ in shapes), strict=True)))
    channels = CHANNELS[shapes[0][0]]
    sides = {(h, w) for _, h, w in shapes}
    (height, width) = max(sides)
    size, why = None, f"all are {height}×{width}" if len(sides) == 1 else ""
    if len(sides) > 1 or max(height, width) > _LARGEST:
        least = min(_LARGEST, min(min(shape) for shape in sides))
        size = (max(8, least), max(8, least))
        why = "they have several sizes" if len(sides) > 1 else f"{height}×{width} is slow to train on"
    classes = sorted({str(name).strip() for name in frame[label].drop_nulls()})
    side = size[0] if size else max(height, width)
    groups = tuple(
        name for name in frame.columns if called(name, GROUPS) and 2 <= frame[name].n_unique() <= MOST_GROUPS
    )
    split = "split" in frame.columns
    return ImagesHead(tuple(classes), frame.height, side, channels, size, why, split, described, groups)


def _require_one_kind(folder: Path, modes: Mapping[str, str]) -> None:
    """Raise `DataError` that says of every kind how many there are, unless all are grey or all are colour."""
    kinds = {name: _KINDS.get(CHANNELS.get(mode, 0), f"of mode {mode}") for name, mode in modes.items()}
    counted = Counter(kinds.values()).most_common()
    if len(counted) == 1 and counted[0][0] in _KINDS.values():
        return
    rarest = counted[-1][0]
    example = next(name for name, kind in kinds.items() if kind == rarest)
    raise DataError(
        "all images must be 8-bit grey, or all 8-bit colour; these are "
        f"{', '.join(f'{count} {kind}' for kind, count in counted)} (such as {example})",
        where=str(folder),
        remedy='make all of them colour, or all grey ("L"), which drops what shines through: '
        'PIL.Image.open(path).convert("RGB").save(path)',
    )


def _shape(path: Path) -> tuple[str, int, int]:
    """The pixel mode, height and width."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.mode, image.height, image.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"not an image that is read here ({error})", where=str(path)) from error


def read_arrays_head(path: Path) -> ArraysHead:
    """Raises `DataError` for arrays that are not called x_train, y_train, x_test and y_test."""
    import numpy as np

    from raiaudit.models.data.arrays import npz_keys, read_npz

    keys = npz_keys(path)
    wanted = ("x_train", "y_train", "x_test", "y_test")
    if missing := [key for key in wanted if key not in keys]:
        raise DataError(
            f"no array {', '.join(missing)}",
            where=str(path),
            remedy=f"call them {', '.join(wanted)}; it has {', '.join(keys[:20]) or 'none'}",
        )
    groups = [
        key.removesuffix("_train") for key in keys if key.endswith("_train") and key[:2] not in ("x_", "y_")
    ]
    shape = _array_shape(path, "x_train")
    _, counts = np.unique(read_npz(path, ["y_train"])["y_train"], return_counts=True)
    if not len(counts):
        raise DataError("there is not one row", where=f"{path}, array y_train")
    named = tuple(name for name in groups if name != "id")
    return ArraysHead(shape[0], shape[1:], named, len(counts), float(counts.max() / counts.sum()))


def _array_shape(path: Path, key: str) -> tuple[int, ...]:
    import zipfile

    from numpy.lib import format as npy

    try:
        with zipfile.ZipFile(path) as bundle, bundle.open(f"{key}.npy") as stream:
            read = (
                npy.read_array_header_1_0 if npy.read_magic(stream) == (1, 0) else npy.read_array_header_2_0
            )
            return tuple(read(stream)[0])
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(f"not a readable npz file ({error})", where=f"{path}, array {key}") from error
