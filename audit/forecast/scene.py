"""What a forecast knows of the data of a spec without training anything: sizes, classes, groups, the inputs.

Data sets of the catalogue are known by heart. A user's own table or arrays are read as the audit would read
them while they are small; of large tables and of image folders only a head or the headers are looked at, and
rows stand in for those that were not read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raiaudit.attacks.spaces import Column, ImageBox, InputSpace, TableSchema, TokenSpace
from raiaudit.audit.drafting.image_head import read_images_head
from raiaudit.audit.drafting.table_head import WHOLE, read_head
from raiaudit.audit.spec import NamedData
from raiaudit.models.data.dataset import Dataset, LazySplits, Modality, Split
from raiaudit.models.data.known import KNOWN
from raiaudit.models.data.user import SPLITS, UserData

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raiaudit.audit.spec import LoadedSpec

__all__ = ["Scene", "scene_of"]

_MOST_STAND_INS = 200_000  # rows made up for splits that were not read; sizes stay what they are
_UNKNOWN_CLASSES = ("0", "1")


@dataclass(frozen=True, slots=True)
class Scene:
    """The data set with rows that may stand in for the real ones, and `sizes` of train, validation, test.

    `basis` says what was estimated, if anything; `read` whether the rows are the real ones.
    """

    dataset: Dataset
    sizes: Mapping[str, int]
    basis: str = ""
    read: bool = False


def scene_of(loaded: LoadedSpec) -> Scene:
    """The scene of a spec. Raises `DataError` for what an audit could not read either."""
    data = loaded.spec.data
    if isinstance(data, NamedData):
        known = KNOWN[data.name]
        sizes = dict(zip(SPLITS, known.sizes, strict=True))
        return _stand_in(data.name, known.modality, known.classes, known.space, sizes, known.groups)
    files = data.files(loaded.folder)
    first = files.get("all") or files["train"]
    if first.is_dir():
        return _folder(data, first)
    small = all(path.exists() and path.stat().st_size <= WHOLE for path in files.values())
    if small or first.suffix.lower() == ".npz" or not first.exists():
        return _read(data, loaded.folder)
    return _large(data, files)


def _read(data: UserData, base: Path) -> Scene:
    from raiaudit.models.data.user_dataset import load_user_dataset

    dataset = load_user_dataset(data, base)
    return Scene(dataset, {name: len(dataset.splits[name]) for name in SPLITS}, read=True)


def _folder(data: UserData, folder: Path) -> Scene:
    head = read_images_head(folder, label=data.label)
    side = data.size or (head.side, head.side)
    groups = dict.fromkeys(data.groups, 2)
    scene = _stand_in(
        data.name,
        "image",
        data.classes or head.classes,
        ImageBox((head.channels, *side)),
        _parts(data, head.count),
        groups,
    )
    return replace(scene, basis="images were counted, and their headers looked at")


def _large(data: UserData, files: Mapping[str, Path]) -> Scene:
    heads = {
        name: read_head(path, {".csv": "csv", ".tsv": "tsv"}.get(path.suffix.lower(), "parquet"))  # type: ignore[arg-type]  # one of the three
        for name, path in files.items()
    }
    head = heads.get("all") or heads["train"]
    rows = {name: found.rows for name, found in heads.items()}
    sizes = _parts(data, rows["all"]) if "all" in rows else {name: rows.get(name, 0) for name in SPLITS}
    label = [level for level, _ in head[data.label].levels] if data.label in head.names else []
    groups = {name: head[name].distinct for name in data.groups if name in head.names}
    taken = {data.label, data.id, data.split, data.links, *data.drop}
    space: InputSpace = TokenSpace(vocabulary=8000, max_length=64)
    if data.text is None:
        space = TableSchema(
            tuple(
                _column(
                    name, head[name].numeric == 1 and name not in data.categorical, head[name].distinct, data
                )
                for name in head.names
                if name not in taken
            )
        )
    modality: Modality = "tabular" if data.text is None else "text"
    scene = _stand_in(data.name, modality, data.classes or sorted(label), space, sizes, groups)
    return replace(scene, basis="the file is large: its rows were estimated from its head")


def _column(name: str, number: bool, levels: int, data: UserData) -> Column:
    mutable = name not in (*data.immutable, *data.groups)
    if number:
        return Column(name, "real", mutable=mutable)
    return Column(name, "category", categories=tuple(str(i) for i in range(levels)), mutable=mutable)


def _parts(data: UserData, rows: int) -> dict[str, int]:
    test, validation = round(data.test_fraction * rows), round(data.validation_fraction * rows)
    return {"train": rows - test - validation, "validation": validation, "test": test}


def _stand_in(
    name: str,
    modality: Modality,
    classes: Sequence[str],
    space: InputSpace,
    sizes: Mapping[str, int],
    groups: Mapping[str, int],
) -> Scene:
    """A data set whose splits have that many rows, of nothing: inputs take no memory, labels go round."""
    names = tuple(classes) if len(classes) > 1 else _UNKNOWN_CLASSES

    def load() -> Mapping[str, Split]:
        return {
            part: _rows(part, min(n, _MOST_STAND_INS), space, len(names), groups) for part, n in sizes.items()
        }

    dataset = Dataset(
        name=name,
        modality=modality,
        classes=names,
        space=space,
        splits=LazySplits(SPLITS, load),
        digest="not read",
        group_names=tuple(groups),
    )
    return Scene(dataset, dict(sizes))


def _rows(part: str, n: int, space: InputSpace, classes: int, groups: Mapping[str, int]) -> Split:
    inputs: Any = [""] * n
    if isinstance(space, ImageBox):
        inputs = np.broadcast_to(np.float32(0), (n, *space.shape))
    elif isinstance(space, TableSchema):
        inputs = np.broadcast_to(np.float32(0), (n, space.width))
    row = pl.Series("id", np.arange(n))
    return Split(
        ids=(part + "/" + row.cast(pl.String)).alias("id"),
        inputs=inputs,
        labels=np.arange(n, dtype=np.int64) % classes,
        groups=pl.DataFrame(
            {name: (row % max(1, levels)).cast(pl.String) for name, levels in groups.items()}
        ),
    )
