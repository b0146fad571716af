"""Concepts as sets of examples: a level of a column, a class, or texts with certain words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from raiaudit.attacks.spaces import TableSchema
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import UnknownNameError, UsageError
from raiaudit.models.data.tables import UNKNOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.models.data.dataset import Dataset, Split

__all__ = ["ConceptSet", "concept_sets", "holding", "sampled"]


class ConceptSet(BaseModel):
    """What makes an example one of the concept: exactly one way to tell."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    column: str | None = Field(
        default=None, description="a group column, or a table's column of categories; with level"
    )
    level: str | None = None
    class_: str | None = Field(default=None, alias="class", description="a class of the data set")
    words: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="texts with one of these words, in any case (for texts)"
    )

    @model_validator(mode="after")
    def _one_way(self) -> ConceptSet:
        if (self.column is None) != (self.level is None):
            raise ValueError("a concept of a column names `column` and `level`")
        ways = [self.column is not None, self.class_ is not None, self.words is not None]
        if sum(ways) != 1:
            raise ValueError("a concept is `column` and `level`, or `class`, or `words`")
        return self


def concept_sets(dataset: Dataset, asked: Mapping[str, ConceptSet] | None) -> dict[str, ConceptSet]:
    """Those asked for; else every level of every group column; else, without groups, every class."""
    if asked:
        return dict(asked)
    if not dataset.group_names:
        return {name: ConceptSet.model_validate({"class": name}) for name in dataset.classes}
    groups = dataset.splits["train"].groups
    return {
        f"{column}: {level}": ConceptSet(column=column, level=level)
        for column in dataset.group_names
        for level in groups[column].unique().sort().to_list()
        if level != UNKNOWN
    }


def holding(dataset: Dataset, split: Split, concept: ConceptSet, name: str) -> NDArray[np.bool_]:
    """Which of a split's N examples are of the concept. Raises `UsageError` for what the data lack."""
    where = f"concepts.{name}"
    if concept.class_ is not None:
        if concept.class_ not in dataset.classes:
            raise UnknownNameError("class", concept.class_, dataset.classes, where=where)
        label_N: NDArray[np.bool_] = split.labels == dataset.classes.index(concept.class_)
        return label_N
    if concept.words:
        if dataset.modality != "text":
            raise UsageError(f"words are in texts, not in {dataset.modality} data", where=where)
        pattern = re.compile(rf"\b({'|'.join(map(re.escape, concept.words))})\b", re.IGNORECASE)
        return np.array([pattern.search(text) is not None for text in split.inputs], dtype=bool)
    assert concept.column is not None
    assert concept.level is not None
    if concept.column in dataset.group_names:
        column = split.groups[concept.column]
        if not (found_N := (column == concept.level).to_numpy()).any():
            raise UnknownNameError("level", concept.level, column.unique().to_list(), where=where)
        return np.asarray(found_N, dtype=bool)
    schema = dataset.space
    categories = {}
    if isinstance(schema, TableSchema):
        categories = {column.name: column for column in schema.columns if column.kind == "category"}
    if concept.column not in categories:
        raise UnknownNameError("column", concept.column, [*dataset.group_names, *categories], where=where)
    assert isinstance(schema, TableSchema)
    levels = categories[concept.column].categories
    if concept.level not in levels:
        raise UnknownNameError("level", concept.level, levels, where=where)
    encoded = np.asarray(split.inputs)[:, schema.slices[concept.column]]
    return np.asarray(encoded[:, levels.index(concept.level)] > 0.5, dtype=bool)


def sampled(held_N: NDArray[np.bool_], most: int, *, seed: int, name: str) -> NDArray[np.int64]:
    """At most so many of the examples that are held, drawn by name, in order."""
    rows = np.flatnonzero(held_N)
    if len(rows) > most:
        rows = np.sort(keyed_rng(seed, "concepts", name).choice(rows, size=most, replace=False))
    return rows
