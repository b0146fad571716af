"""Labels and ids of a user's own files: their order, and every way they can be wrong.

Errors are `DataError`s that name file, row (from 1, a header not counted) and column.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["class_indices", "class_order", "label_names", "require_distinct"]

_MAX_CLASSES = 1_000
_NO_VALUE = ("nan", "-nan", "inf", "-inf", "infinity", "null", "<na>", "n/a", "#n/a")


def label_names(column: pl.Series, where: str, *, listed: Collection[str] = ()) -> pl.Series:
    """Labels as stripped strings; 1.0 is "1". Raises where one is missing or a fraction.

    What programs write for no value is a class only if it is `listed` as one.
    """
    if column.dtype.is_float():
        values = column.fill_null(float("nan")).to_numpy()
        fraction = np.flatnonzero(np.isfinite(values) & (values != np.round(values)))
        if len(fraction):
            raise DataError(
                f"the label {values[fraction[0]]} is no class",
                where=f"{where}, row {fraction[0] + 1}, column {column.name!r}",
                remedy="raiaudit audits classifiers; a label is a name or a whole number",
            )
        column = column.fill_nan(None).cast(pl.Int64, strict=False)
    names = column.cast(pl.String).str.strip_chars()
    unlisted = ~names.is_in(list(listed))
    for row in (names.str.to_lowercase().is_in(_NO_VALUE) & unlisted).arg_true()[:1]:
        raise DataError(
            f"the label {names[row]!r} is how programs write that there is none",
            where=f"{where}, row {row + 1}, column {column.name!r}",
            remedy="remove the rows without a label, or list it under `classes` if it is a class",
        )
    missing = (names.is_null() | (names == "")).arg_true()
    if len(missing):
        raise DataError(
            f"no label, here and in {len(missing) - 1} more rows",
            where=f"{where}, row {missing[0] + 1}, column {column.name!r}",
            remedy="remove the rows without a label",
        )
    return names


def class_order(
    names: pl.Series, explicit: Sequence[str] | None, positive: str | None, *, where: str
) -> tuple[str, ...]:
    """The classes: as listed, else sorted (numbers by value); `positive`, if given, goes last."""
    found = names.unique().to_list()
    numbers = all(name.removeprefix("-").isdecimal() for name in found)
    classes = list(explicit or sorted(found, key=int if numbers else str))
    place = f"{where}, column {names.name!r}"
    if len(classes) < 2:
        raise DataError(f"a single class: {classes}", where=place, remedy="a classifier needs at least two")
    if len(classes) > _MAX_CLASSES:
        raise DataError(
            f"{len(classes)} classes; at most {_MAX_CLASSES}", where=place, remedy="is this the label column?"
        )
    if positive is not None:
        if positive not in classes:
            raise DataError(f"the positive class {positive!r} is none of {classes}", where=place)
        classes.remove(positive)
        classes.append(positive)
    return tuple(classes)


def class_indices(
    names: pl.Series, classes: Sequence[str], listed: Sequence[str] | None, *, where: str
) -> NDArray[np.int64]:
    """Index of each label in `classes`.

    Where the spec lists the classes, and none of them is called by a number, a whole number is the
    place of a class in that list.
    """
    code = {name: index for index, name in enumerate(classes)}
    if listed and not any(name.isdecimal() for name in listed):
        code |= {str(place): code[name] for place, name in enumerate(listed)}
    outside = np.flatnonzero(~names.is_in(list(code)).to_numpy())
    if len(outside):
        shown = ", ".join(classes[:10]) + (", …" if len(classes) > 10 else "")
        raise DataError(
            f"the label {names[int(outside[0])]!r} is outside the classes ({shown})",
            where=f"{where}, row {outside[0] + 1}, column {names.name!r}",
            remedy="correct the label, or list every class under `classes`",
        )
    return names.replace_strict(code, return_dtype=pl.Int64).to_numpy()


def require_distinct(columns: Mapping[str, pl.Series]) -> None:
    """No id twice, in one file or across files; the keys name the files."""
    seen: dict[str, tuple[str, int]] = {}
    for where, column in columns.items():
        if len(missing := column.is_null().arg_true()):
            raise DataError("no id", where=f"{where}, row {missing[0] + 1}, column {column.name!r}")
        for row, name in enumerate(column, start=1):
            if name in seen:
                first, other = seen[name]
                raise DataError(
                    f"the id {name!r} is already that of {first}, row {other}",
                    where=f"{where}, row {row}, column {column.name!r}",
                    remedy="an example has one id and lies in one split: remove one of the two rows",
                )
            seen[name] = (where, row)
