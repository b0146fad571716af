"""A `Dataset` from a user's own files.

Tables are CSV, TSV or Parquet; `text` names the column that makes them a text set; npz holds arrays
(user_files.py), a folder holds images (user_images.py, class_folders.py), which stay on disk if they are
many (streamed.py). A missing validation split is held out of train.
Examples of a split are interleaved by class (splitting.py), whatever their order in the file.
Groups are features too unless dropped, and never mutable. Everything but the pixels of a folder is read
and checked when the data set is made, so a wrong file fails before any model is trained.
Errors are `DataError`s naming file, row and column (rows from 1, a header not counted).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from raiaudit.errors import DataError
from raiaudit.models.data.class_folders import SUFFIXES, read_class_folders
from raiaudit.models.data.dataset import Dataset, LazySplits, Split
from raiaudit.models.data.fetch import fingerprint, sha256_file
from raiaudit.models.data.labels import class_indices, class_order, label_names, require_distinct
from raiaudit.models.data.tables import as_levels, group_frame
from raiaudit.models.data.user import SPLITS
from raiaudit.models.data.user_content import METADATA, content_of
from raiaudit.models.data.user_files import Source, read_arrays, read_table, require_columns, require_plain
from raiaudit.models.data.user_splits import split_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from raiaudit.models.data.user import Format, UserData

__all__ = ["load_user_dataset"]

_VERSION = "user/1"
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".npz": "npz",
}


def load_user_dataset(config: UserData, base: Path) -> Dataset:
    """The data set that `config` describes; its relative paths start at `base`, the folder of the spec."""
    files = config.files(base)
    kind = _format(config, files)
    sources = _read(config, files, kind)
    for source in sources.values():
        if not source.frame.height:
            raise DataError("there is not one row", where=source.where)
        require_columns(source.frame.columns, (*_named(config), *config.groups), source.where)
        require_plain(source.frame.select({*_named(config), *config.groups}), source.where)
    ids = {name: _ids(config, name, source, kind) for name, source in sources.items()}
    require_distinct({sources[name].where: column for name, column in ids.items()})
    classes, labels = _labels(config, sources)
    rows = split_rows(config, sources, labels)
    groups = {
        split: group_frame(
            sources[part.of].frame[part.index],
            config.groups,
            where=f"{sources[part.of].where} ({split} split)",
        )
        for split, part in rows.items()
    }
    links = {
        split: as_levels(sources[part.of].frame[config.links][part.index]) if config.links else None
        for split, part in rows.items()
    }
    content = content_of(config, kind, files, sources, rows)

    def load() -> Mapping[str, Split]:
        return {
            split: Split(
                ids=ids[part.of][part.index],
                inputs=content.inputs(part),
                labels=labels[part.of][part.index],
                groups=groups[split],
                links=links[split],
            )
            for split, part in rows.items()
        }

    return Dataset(
        name=config.name,
        modality=content.modality,
        classes=classes,
        space=content.space,
        splits=LazySplits(SPLITS, load),
        digest=_digest(config, content.files, listing=content.listing),
        group_names=config.groups,
        source=config.source or ", ".join(path.name for path in files.values()),
        licence=config.licence,
    )


def _format(config: UserData, files: Mapping[str, Path]) -> Format:
    kinds: set[Format] = set()
    for path in files.values():
        if not path.exists():
            raise DataError(
                "there is no such file",
                where=str(path),
                remedy="relative paths start at the folder of the spec",
            )
        if not path.is_dir() and not path.is_file():  # a pipe may never end, a device never does
            raise DataError("is neither a file nor a folder", where=str(path))
        kind = config.format or ("folder" if path.is_dir() else _SUFFIXES.get(path.suffix.lower()))
        if kind is None:
            raise DataError(
                f"the suffix {path.suffix!r} tells no format",
                where=str(path),
                remedy="set `format` to csv, tsv, parquet, npz or folder",
            )
        if path.is_dir() != (kind == "folder"):
            raise DataError(
                f"format {kind}, but it is a {'folder' if path.is_dir() else 'file'}", where=str(path)
            )
        kinds.add(kind)
    if len(kinds) > 1:
        raise DataError(f"the splits have different formats: {', '.join(sorted(kinds))}")
    (kind,) = kinds
    if kind in {"npz", "folder"} and (config.text or "all" not in files):
        problem = "holds no texts" if config.text else "is one file with all splits"
        raise DataError(f"format {kind} {problem}", remedy="use `path`" if not config.text else "drop `text`")
    if kind != "folder" and (config.size or config.stream != "auto"):
        raise DataError(f"`size` and `stream` are for a folder of images, not for {kind}")
    return kind


def _named(config: UserData) -> set[str]:
    """Columns with a role of their own."""
    return {name for name in (config.label, config.id, config.text, config.split, config.links) if name}


def _read(config: UserData, files: Mapping[str, Path], kind: Format) -> dict[str, Source]:
    if kind == "npz":
        beside = config.groups if config.links is None else (*config.groups, config.links)
        return read_arrays(files["all"], label=config.label, groups=beside)
    if kind == "folder":
        folder = files["all"]
        if (folder / METADATA).exists():
            return {"all": read_table(folder / METADATA, "csv", text=None)}
        if (classes := read_class_folders(folder, label=config.label)) is not None:
            return {"all": classes}
        raise DataError(
            f"holds neither a {METADATA} nor folders with images, one a class",
            where=str(folder),
            remedy=f"suffixes of images: {', '.join(sorted(SUFFIXES))}",
        )
    hashes: dict[str, Path] = {}
    for path in files.values():
        if (first := hashes.setdefault(sha256_file(path), path)) is not path:
            raise DataError(
                f"the same bytes as {first}, so two splits would share their examples", where=str(path)
            )
    words = {*config.drop, *config.categorical, *_named(config)}
    return {name: read_table(path, kind, text=words) for name, path in files.items()}


def _ids(config: UserData, name: str, source: Source, kind: Format) -> pl.Series:
    column = config.id or ("file_name" if kind == "folder" else "id" if kind == "npz" else None)
    if column in source.frame.columns:
        return source.frame[column].cast(pl.String)
    prefix = config.name if name == "all" else name
    return pl.Series("id", [f"{prefix}/{row:05d}" for row in range(source.frame.height)])


def _labels(
    config: UserData, sources: Mapping[str, Source]
) -> tuple[tuple[str, ...], dict[str, NDArray[np.int64]]]:
    """The classes (those of the train file, where there is one) and every file's class indices."""
    names = {
        name: label_names(source.frame[config.label], source.where, listed=config.classes or ())
        for name, source in sources.items()
    }
    first = "train" if "train" in sources else "all"
    classes = class_order(names[first], config.classes, config.positive, where=sources[first].where)
    return classes, {
        name: class_indices(column, classes, config.classes, where=sources[name].where)
        for name, column in names.items()
    }


def _digest(config: UserData, files: Sequence[Path], *, listing: str) -> str:
    """Of the bytes of every file and of each setting that decides the splits; of no path but in `listing`."""
    beside = {"path", "train", "validation", "test", "source", "licence", "stream"}
    beside |= {name for name in ("size", "links") if getattr(config, name) is None}  # newer than old digests
    settings = config.model_dump_json(exclude=beside)
    named = [listing] if listing else []
    return fingerprint(_VERSION, settings, *named, *(sha256_file(file) for file in files))
