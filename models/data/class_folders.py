"""A folder of images without a `metadata.csv`: one folder a class, perhaps below one a split.

    pets/cat/1.png pets/dog/2.png …        or        pets/train/cat/1.png pets/test/dog/2.png …

The classes are the names of the folders; `val` and `valid` are the validation split. Links are passed over,
and so are hidden files and whatever has no suffix of an image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from raiaudit.models.data.user_files import Source

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SUFFIXES", "read_class_folders"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm"})
_SPLITS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}


def read_class_folders(folder: Path, *, label: str) -> Source | None:
    """Columns `file_name`, the label and, where the folders say so, `split`; None where there are no classes.

    Rows are in the order of the names. Raises nothing: what the images are is looked at later.
    """
    parts = _folders(folder)
    split = {part.name for part in parts} <= _SPLITS.keys() and {"train", "test"} <= {p.name for p in parts}
    rows = []
    for part in parts:
        for kind in _folders(part) if split else [part]:
            for path in _images(kind):
                rows.append((path.relative_to(folder).as_posix(), kind.name, _SPLITS.get(part.name, "")))
    if not rows:
        return None
    names, labels, splits = zip(*rows, strict=True)
    columns = {"file_name": names, label: labels} | ({"split": splits} if split else {})
    return Source(str(folder), pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)))


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink() and p.name[0] != ".")


def _images(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    return sorted(path for path in files if path.is_file() and not path.is_symlink())
