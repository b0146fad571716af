"""Which quantities can be paired, and by what value of each example.

A measurement names the ledger columns it was computed from. Where its value is the mean of one of them, of
all of them, of their opposite (1 − x), or of the difference of two, each example has a value of its own, and
two runs can be held against each other example by example. That the value comes out is checked in both runs.

Shapes: N examples, in the order of their ids.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.ledger import ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement

__all__ = ["Pairs", "Rows", "pairs_of"]

_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Pairs:
    """The values of both runs on the same examples. `parts`: each is a multiple of 1/parts; None if not."""

    ids: pl.Series
    ours_N: NDArray[np.float64]
    reference_N: NDArray[np.float64]
    parts: int | None


class Rows:
    """The columns of a ledger that measurements name, read once; lists and texts are left out."""

    def __init__(self, ledger: LedgerReader, measurements: Iterable[Measurement]) -> None:
        held = ledger.columns()
        wanted = sorted({column for m in measurements for column in m.evidence} & held)
        self.groups = sorted(column for column in held if column.startswith("group."))
        if not wanted:
            self.frame = pl.DataFrame(schema={ID: pl.String})
            return
        scan = ledger.scan(*wanted, *self.groups)
        schema = scan.collect_schema()
        kept = [name for name in wanted if schema[name].is_numeric() or schema[name] == pl.Boolean]
        self.frame = scan.select(ID, *kept, *self.groups).collect()

    def values(self, columns: tuple[str, ...]) -> pl.DataFrame | None:
        """Rows that have all these columns; None if the ledger lacks one or it holds no numbers."""
        if not columns or not set(columns) <= set(self.frame.columns):
            return None
        return self.frame.select(ID, *columns).drop_nulls()


def pairs_of(ours: Rows, mine: Measurement, reference: Rows, theirs: Measurement) -> Pairs | str | None:
    """The pairs behind two measurements of one quantity; why not, if the examples differ; None where the
    quantity is no mean over examples.
    """
    columns = mine.evidence
    if columns != theirs.evidence or mine.value is None or theirs.value is None:
        return None
    a, b = ours.values(columns), reference.values(columns)
    if a is None or b is None or not a.height or not b.height:
        return None
    for form, parts in _forms(a):
        a_N, b_N = form(a), form(b)
        if _is(a_N, mine.value) and _is(b_N, theirs.value):
            if not a[ID].equals(b[ID]):
                return f"measured on {a.height:,} examples, in the reference on {b.height:,} others"
            return Pairs(a[ID], a_N, b_N, parts)
    return None


def _forms(frame: pl.DataFrame) -> list[tuple[Callable[[pl.DataFrame], NDArray[np.float64]], int | None]]:
    """What the value of an example may be, with its parts, likeliest first."""
    columns = [name for name in frame.columns if name != ID]
    yes_no = all(frame.schema[name] == pl.Boolean for name in columns)
    parts = len(columns) if yes_no else None

    def mean(rows: pl.DataFrame) -> NDArray[np.float64]:
        mean_N: NDArray[np.float64] = rows.select(columns).cast(pl.Float64).to_numpy().mean(axis=1)
        return mean_N

    def opposite(rows: pl.DataFrame) -> NDArray[np.float64]:
        return 1 - mean(rows)

    forms: list[tuple[Callable[[pl.DataFrame], NDArray[np.float64]], int | None]]
    forms = [(mean, parts), (opposite, parts)]
    if len(columns) == 2 and not yes_no:
        first, second = columns
        forms += [(_less(first, second), None), (_less(second, first), None)]
        # Of several yes/no columns one may have the mean by chance; of real ones none has.
        forms += [(_alone(name), None) for name in columns if frame.schema[name].is_float()]
    return forms


def _less(first: str, second: str) -> Callable[[pl.DataFrame], NDArray[np.float64]]:
    return lambda rows: _column(rows, first) - _column(rows, second)


def _alone(name: str) -> Callable[[pl.DataFrame], NDArray[np.float64]]:
    return lambda rows: _column(rows, name)


def _column(rows: pl.DataFrame, name: str) -> NDArray[np.float64]:
    return rows[name].cast(pl.Float64).to_numpy()


def _is(values_N: NDArray[np.float64], value: float) -> bool:
    return math.isclose(float(values_N.mean()), value, rel_tol=1e-6, abs_tol=_CLOSE)
