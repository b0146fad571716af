"""Attribute flips: every row of a table asked again with the attribute set to each other level.

Only a category that the model reads can be set. All other columns stay as they are, but for those that a user
says follow (`also`): attribute → new level → column → {old level: new level}.
This tests direct use of the attribute. It is not causal counterfactual fairness (Kusner et al.,
arXiv:1703.06856), which would change all that the attribute caused: proxies stay.
Shapes: encoded rows x_NW (float32).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from raiaudit.audit.fairness.counterfactual.probe import Place, Probe
from raiaudit.errors import UnknownNameError, UsageError
from raiaudit.models.data.tables import UNKNOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.attacks.spaces import Column, TableSchema
    from raiaudit.models.data.dataset import Split

__all__ = ["SOURCE", "Also", "check_also", "flips", "unflippable"]

SOURCE = "table"
Also = Mapping[str, Mapping[str, Mapping[str, Mapping[str, str]]]]


def unflippable(schema: TableSchema, attribute: str) -> str | None:
    """Why an attribute cannot be set, or None."""
    column = _columns(schema).get(attribute)
    if column is None:
        return (
            f"{attribute!r} is no feature, so it cannot be set: the model never reads it. What it learns "
            "of it through other columns shows in fairness.groups"
        )
    if column.kind != "category":
        return f"{attribute!r} is a number, without levels to set: add it as a category (ranges) to the table"
    if len(_levels(column)) < 2:
        return f"{attribute!r} has one level alone"
    return None


def check_also(schema: TableSchema, also: Also, *, check: str) -> None:
    """Raises `UnknownNameError` for names the table does not have, `UsageError` for an attribute itself."""
    columns = {name: column for name, column in _columns(schema).items() if column.kind == "category"}

    def known(kind: str, names: Mapping[str, object], choices: Sequence[str], where: str) -> None:
        for name in names:
            if name not in choices:
                raise UnknownNameError(kind, name, choices, where=f"{check} also {where}".rstrip())

    known("category", also, list(columns), "")
    for attribute, by_level in also.items():
        known("level", by_level, columns[attribute].categories, attribute)
        for following in by_level.values():
            known("category", following, list(columns), attribute)
            if attribute in following:
                raise UsageError(
                    f"{attribute!r} cannot follow from itself", where=f"{check} also {attribute}"
                )
            for name, mapping in following.items():
                known("level", mapping, columns[name].categories, name)
                known("level", dict.fromkeys(mapping.values()), columns[name].categories, name)


def flips(rows: Split, schema: TableSchema, attributes: Sequence[str], also: Also) -> Probe:
    """The rows as they are, then each attribute at each other level. People of unknown level are left out."""
    columns, places, x_NW = _columns(schema), schema.slices, np.asarray(rows.inputs)
    examples = rows.ids.to_list()
    factual: list[list[Place]] = [[] for _ in examples]
    ids, parts, told = list(examples), [x_NW], factual
    asked: list[list[Place]] = []
    for attribute in attributes:
        column = columns[attribute]
        own_N = np.asarray(x_NW[:, places[attribute]]).argmax(axis=1)
        known_N = np.asarray([level != UNKNOWN for level in column.categories])[own_N]
        for row in np.flatnonzero(known_N).tolist():
            level = column.categories[own_N[row]]
            factual[row].append(Place(SOURCE, attribute, examples[row], examples[row], level, True))
        for level in _levels(column):
            index = np.flatnonzero(known_N & (own_N != column.categories.index(level)))
            parts.append(_set(x_NW[index], schema, attribute, level, also.get(attribute, {}).get(level, {})))
            for row in index.tolist():
                example = examples[row]
                ids.append(f"{example}#{attribute}={level}")
                asked.append([Place(SOURCE, attribute, example, example, level, False)])
    return Probe(ids, np.concatenate(parts), [*told, *asked])


def _set(
    x_MW: NDArray[np.float32],
    schema: TableSchema,
    attribute: str,
    level: str,
    following: Mapping[str, Mapping[str, str]],
) -> NDArray[np.float32]:
    columns, places = _columns(schema), schema.slices
    changed_MW = x_MW.copy()
    changed_MW[:, places[attribute]] = 0
    changed_MW[:, places[attribute].start + columns[attribute].categories.index(level)] = 1
    for name, mapping in following.items():
        start, levels = places[name].start, columns[name].categories
        for old, new in mapping.items():
            had_M = x_MW[:, start + levels.index(old)] == 1  # as it was, so that two levels can be exchanged
            changed_MW[had_M, places[name]] = 0
            changed_MW[had_M, start + levels.index(new)] = 1
    return changed_MW


def _columns(schema: TableSchema) -> dict[str, Column]:
    return {column.name: column for column in schema.columns}


def _levels(column: Column) -> list[str]:
    return [level for level in column.categories if level != UNKNOWN]
