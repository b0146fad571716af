"""Which examples a filter chooses, in which order: joins of the columns it names, run as one lazy query."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import polars as pl

from raiaudit.dashboard.examples.meanings import is_personal
from raiaudit.dashboard.examples.rows import ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.dashboard.examples.rows import ExampleRows

__all__ = ["ANY_ATTACK", "Filter", "attacks", "find", "group_columns", "sortable"]

ANY_ATTACK = "any attack"
_BROKEN = re.compile(r"evasion\.(.+)\.broken")
_GROUP = re.compile(r"(?:fairness\.)?group\.(.+)")


@dataclass(frozen=True, slots=True)
class Filter:
    """What is asked; a field left empty asks nothing. `broken` names an attack of `attacks`."""

    answer: Literal["", "right", "wrong"] = ""
    broken: str = ""
    label: str = ""
    predicted: str = ""
    group: str = ""
    level: str = ""
    find: str = ""
    sort: str = ""
    down: bool = False


def attacks(rows: ExampleRows) -> list[str]:
    """The attacks whose outcome the ledger has, as `<norm>-<eps>-<attack>`."""
    return sorted(found[1] for name in rows.columns if (found := _BROKEN.fullmatch(name)))


def group_columns(rows: ExampleRows) -> dict[str, str]:
    """The group columns of the data, and where the ledger has each."""
    named = {found[1]: name for name in rows.columns if (found := _GROUP.fullmatch(name))}
    return dict(sorted(named.items()))


def sortable(rows: ExampleRows) -> list[str]:
    """The columns with one number an example, but those that tell on people."""
    return sorted(
        name
        for name, dtype in rows.columns.items()
        if (dtype.is_numeric() or dtype == pl.Boolean) and not is_personal(name)
    )


@lru_cache(maxsize=8)
def find(rows: ExampleRows, chosen: Filter, classes: Sequence[str]) -> pl.DataFrame:
    """example_id, label, predicted (names of classes), right, and `by` if sorted; in the order asked for.

    An example of which a column asked about knows nothing is not chosen. Sorted examples without a value
    come last; equal ones, and all where no order is asked, by id.
    """
    frame = rows.audited()
    if frame is None:
        return pl.DataFrame(schema={ID: pl.String, "label": pl.String, "predicted": pl.String})
    broken = [f"evasion.{tag}.broken" for tag in _tags(rows, chosen.broken)]
    group = group_columns(rows).get(chosen.group, "")
    sort = chosen.sort if chosen.sort in sortable(rows) else ""
    # A column may be asked for twice, under two names.
    asked = [name for name in (rows.label, rows.predicted, group, sort, *broken) if name]
    for part in rows.scan(asked):
        frame = frame.join(part, on=ID, how="left")
    names = dict(enumerate(classes))
    frame = frame.with_columns(
        label=_named(rows.label, names),
        predicted=_named(rows.predicted, names),
        right=pl.col(rows.label) == pl.col(rows.predicted) if rows.label and rows.predicted else None,
    )
    for test in _tests(chosen, broken, group):
        frame = frame.filter(test)
    if sort:
        frame = frame.with_columns(by=pl.col(sort)).sort(
            "by", ID, descending=[chosen.down, False], nulls_last=True
        )
    else:
        frame = frame.sort(ID)
    return frame.select(ID, "label", "predicted", "right", *(["by"] if sort else [])).collect()


def _tests(chosen: Filter, broken: Sequence[str], group: str) -> list[pl.Expr]:
    tests = []
    if chosen.answer:
        tests.append(pl.col("right") == (chosen.answer == "right"))
    if chosen.broken:
        tests.append(pl.any_horizontal(broken) if broken else pl.lit(value=False))
    if chosen.label:
        tests.append(pl.col("label") == chosen.label)
    if chosen.predicted:
        tests.append(pl.col("predicted") == chosen.predicted)
    if group and chosen.level:
        tests.append(pl.col(group) == chosen.level)
    if chosen.find:
        tests.append(pl.col(ID).str.contains(chosen.find, literal=True))
    return tests


def _tags(rows: ExampleRows, broken: str) -> list[str]:
    known = attacks(rows)
    return known if broken == ANY_ATTACK else [tag for tag in known if tag == broken]


def _named(column: str | None, names: dict[int, str]) -> pl.Expr:
    if column is None:
        return pl.lit(None, dtype=pl.String)
    return pl.col(column).replace_strict(names, default=None, return_dtype=pl.String)
