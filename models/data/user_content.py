"""What the inputs of a user's data set are: texts, images or encoded rows, and how a split loads them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from raiaudit.attacks.spaces import ImageBox, InputSpace, TokenSpace
from raiaudit.errors import DataError
from raiaudit.models.data.dataset import Inputs, Modality
from raiaudit.models.data.labels import require_distinct
from raiaudit.models.data.streamed import StreamedImages
from raiaudit.models.data.tables import check_features, encode, fit_schema
from raiaudit.models.data.user_files import Source, require_columns
from raiaudit.models.data.user_images import layout_of, resolve_images

if TYPE_CHECKING:
    from raiaudit.models.data.user import Format, UserData
    from raiaudit.models.data.user_splits import Rows

__all__ = ["METADATA", "Content", "content_of"]

METADATA = "metadata.csv"
_HELD = 2**30  # bytes of images that `stream: auto` still holds in memory


@dataclass(frozen=True, slots=True)
class Content:
    """`inputs(rows)` loads the inputs of one split; `files` are all that the data set is made of.

    `listing` is what the names of files and folders tell, where no file tells it.
    """

    modality: Modality
    space: InputSpace
    inputs: Callable[[Rows], Inputs]
    files: tuple[Path, ...]
    listing: str = ""


def content_of(
    config: UserData,
    kind: Format,
    files: Mapping[str, Path],
    sources: Mapping[str, Source],
    rows: Mapping[str, Rows],
) -> Content:
    """The content of a data set of that format; `files` and `sources` are keyed by split or "all".

    Raises `DataError` for every input that is missing or cannot be encoded.
    """
    whole = tuple(files.values())
    if config.text:
        return _texts(config.text, sources, whole)
    if kind == "folder":
        return _folder(config, files["all"], sources["all"])
    if any(source.images is not None for source in sources.values()):
        return _arrays(sources, whole)
    roles = {
        config.label,
        config.id,
        config.split,
        config.links,
        *config.drop,
        "id" if kind == "npz" else None,
    }
    return _table(config, roles, sources, rows, whole)


def _texts(column: str, sources: Mapping[str, Source], files: tuple[Path, ...]) -> Content:
    for source in sources.values():
        missing = source.frame[column].is_null().arg_true()
        if len(missing):
            raise DataError("no text", where=f"{source.where}, row {missing[0] + 1}, column {column!r}")

    def inputs(part: Rows) -> list[str]:
        return sources[part.of].frame[column].cast(pl.String)[part.index].to_list()

    return Content("text", TokenSpace(vocabulary=8000, max_length=64), inputs, files)


def _folder(config: UserData, folder: Path, source: Source) -> Content:
    require_columns(source.frame.columns, ("file_name",), source.where)
    names = source.frame["file_name"]
    require_distinct({source.where: names})
    paths = resolve_images(folder, names, source.where)
    layout = layout_of(paths[0], config.size)
    listed = Path(source.where) != folder
    places = [
        f"{path} ({METADATA}, row {row})" if listed else str(path) for row, path in enumerate(paths, start=1)
    ]
    images = StreamedImages(paths, places, layout)
    streamed = images.nbytes > _HELD if config.stream == "auto" else config.stream
    if not streamed:
        images.require_memory()

    def inputs(part: Rows) -> Inputs:
        chosen = images.rows(part.index)
        if not streamed:
            return chosen[:]
        chosen.check_headers()
        return chosen

    space = ImageBox(shape=layout.shape)
    if listed:
        return Content("image", space, inputs, (Path(source.where), *paths))
    return Content("image", space, inputs, tuple(paths), source.frame.write_csv())


def _arrays(sources: Mapping[str, Source], files: tuple[Path, ...]) -> Content:
    images = {name: source.images for name, source in sources.items() if source.images is not None}
    shapes = {name: array.shape[1:] for name, array in images.items()}
    if len(images) < len(sources) or len(set(shapes.values())) > 1:
        raise DataError(f"the splits hold inputs of different shapes: {shapes}", where=sources["train"].where)
    _, channels, height, width = images["train"].shape
    space = ImageBox((channels, height, width))
    return Content("image", space, lambda part: images[part.of][part.index], files)


def _table(
    config: UserData,
    roles: Collection[str | None],
    sources: Mapping[str, Source],
    rows: Mapping[str, Rows],
    files: tuple[Path, ...],
) -> Content:
    first = sources[rows["train"].of]
    require_columns(first.frame.columns, (*config.drop, *config.categorical), first.where)
    names = [name for name in first.frame.columns if name not in roles]
    if not names:
        raise DataError("no column is left as a feature", where=first.where)
    require_columns(names, config.immutable, f"{first.where}, features")
    features = {}
    for name, source in sources.items():
        require_columns(source.frame.columns, names, source.where)
        features[name] = source.frame.select(names).cast(
            {column: pl.String for column in config.categorical if column in names}
        )
    check_features({sources[name].where: frame for name, frame in features.items()})
    schema = fit_schema(
        {split: features[part.of][part.index] for split, part in rows.items()},
        immutable={*config.immutable, *config.groups},
    )
    return Content("tabular", schema, lambda part: encode(features[part.of][part.index], schema), files)
