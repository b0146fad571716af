"""Which rows of which file make up train, validation and test of a user's data set.

A split that the files do not name is held out of train, stratified by label with the spec's seed. The
examples of every split are interleaved by class (splitting.py), whatever their order in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.errors import DataError
from raiaudit.models.data.splitting import stratified
from raiaudit.models.data.user import SPLITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.models.data.user import UserData
    from raiaudit.models.data.user_files import Source

__all__ = ["Rows", "split_rows"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows `index` of the file `of` (a key of the sources) make up a split."""

    of: str
    index: NDArray[np.int64]


def split_rows(
    config: UserData, sources: Mapping[str, Source], labels: Mapping[str, NDArray[np.int64]]
) -> dict[str, Rows]:
    """Rows of train, validation and test, in that order; the arguments are keyed by split, or by "all"."""
    if "all" not in sources:
        rows = {name: Rows(name, np.arange(source.frame.height)) for name, source in sources.items()}
    elif column := _split_column(config, sources["all"]):
        rows = _named_splits(sources["all"], column)
    else:
        rows = {"train": Rows("all", np.arange(sources["all"].frame.height))}
    total = sum(len(part.index) for part in rows.values())
    fractions = {"test": config.test_fraction, "validation": config.validation_fraction}
    sizes = {name: max(1, round(part * total)) for name, part in fractions.items() if name not in rows}
    train = rows["train"]
    if sum(sizes.values()) >= len(train.index):
        raise DataError(
            f"{len(train.index)} rows are too few to hold out {sizes}", where=sources[train.of].where
        )
    cut = stratified(labels[train.of][train.index], sizes, rest="train", seed=config.seed)
    rows |= {name: Rows(train.of, train.index[order]) for name, order in cut.items()}
    for name in {"test", "validation"} - set(sizes):
        order = stratified(labels[rows[name].of][rows[name].index], {}, rest=name, seed=config.seed)[name]
        rows[name] = Rows(rows[name].of, rows[name].index[order])
    return {name: rows[name] for name in SPLITS}


def _split_column(config: UserData, source: Source) -> str | None:
    """The named column, or `split` in the metadata of an image folder."""
    if config.split is None and "file_name" in source.frame.columns and "split" in source.frame.columns:
        return "split"
    return config.split


def _named_splits(source: Source, column: str) -> dict[str, Rows]:
    names = source.frame[column].cast(pl.String).str.strip_chars()
    wrong = (~names.is_in(SPLITS).fill_null(False)).arg_true()
    if len(wrong):
        raise DataError(
            f"{names[wrong[0]]!r} is no split",
            where=f"{source.where}, row {wrong[0] + 1}, column {column!r}",
            remedy=f"choose from {', '.join(SPLITS)}",
        )
    rows = {name: Rows("all", np.flatnonzero((names == name).to_numpy())) for name in names.unique()}
    if missing := {"train", "test"} - set(rows):
        raise DataError(
            f"no row of the {' or '.join(sorted(missing))} split", where=f"{source.where}, column {column!r}"
        )
    return rows
