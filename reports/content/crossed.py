"""Measurements that differ in one thing only, side by side: a row a quantity, a column each of its values.

Seventy rows of "corruption = fog, severity = 1, 2, 3 …" are fifteen rows of five columns. What is crossed is
found, not configured: the key of `where` (ε, method, severity, attack …) that saves most rows, then the next.
A measurement that is undefined is "not defined" in its cell; its reason stays in the list of such.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from raiaudit.reports.words.wording import interval, metric_title, number, slice_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from raiaudit.audit.measurement import Measurement, Scalar

__all__ = ["CrossTable", "Row", "crossed", "in_common"]

_ROWS_SAVED = 4  # or a plain list says it as well
_ROWS = 2  # of a table at least
_FILLED = 0.6  # of its cells at least
_COLUMNS = 12  # values that are still compared by eye
_ACROSS = 6  # of them beside each other
_ONE_LINE = 3  # columns whose cells have room for value and interval in one line

_Row: TypeAlias = "tuple[str, str, tuple[tuple[str, Scalar], ...]]"
"""Metric, unit, and where it was measured but for the key that is crossed."""
_Cells: TypeAlias = "dict[_Row, dict[Scalar, Measurement]]"


@dataclass(frozen=True, slots=True)
class Row:
    """A quantity: its `cells` by column ("98.4 %  [97.1, 99.2]"), its n, and what it is measured by."""

    label: str
    cells: tuple[str, ...]
    n: str
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CrossTable:
    """`of` heads the labels of the rows, `columns` the cells."""

    caption: str
    of: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def crossed(measured: Sequence[Measurement], *, rows: int) -> tuple[list[CrossTable], list[Measurement]]:
    """Tables of at most `rows` rows altogether, and the measurements that are in none of them, in order."""
    tables: list[CrossTable] = []
    left = list(measured)
    while (key := _best_key(left)) is not None:
        cells = _cells(left, key)
        kept = dict(list(cells.items())[:rows])
        if not kept:
            break
        rows -= len(kept)
        tables += _tables(key, kept)
        placed = {id(m) for row in kept.values() for m in row.values()}
        left = [m for m in left if id(m) not in placed]
    return tables, left


def _best_key(measured: Sequence[Measurement]) -> str | None:
    """The key that saves most rows, if it saves enough and no cell would hold two measurements."""
    saved = {key: _saved(measured, key) for m in measured for key in m.where}
    key = max(saved, key=lambda key: saved[key], default=None)
    return key if key is not None and saved[key] >= _ROWS_SAVED else None


def _saved(measured: Sequence[Measurement], key: str) -> int:
    cells = _cells(measured, key)
    shown = sum(len(row) for row in cells.values())
    columns = len(_values(cells))
    alone = shown == sum(key in m.where and _row(m, key) in cells for m in measured)
    if len(cells) < _ROWS or columns > _COLUMNS or shown < _FILLED * len(cells) * columns or not alone:
        return 0
    return shown - len(cells) * -(-columns // _ACROSS)


def _cells(measured: Sequence[Measurement], key: str) -> _Cells:
    """Rows with two values of `key` or more."""
    cells: _Cells = {}
    for m in measured:
        if key in m.where:
            cells.setdefault(_row(m, key), {})[m.where[key]] = m
    return {row: found for row, found in cells.items() if len(found) > 1}


def _row(m: Measurement, key: str) -> _Row:
    return m.metric, m.unit, tuple((name, item) for name, item in m.where.items() if name != key)


def _values(cells: _Cells) -> list[Scalar]:
    """The columns: numbers ascending, names as they came."""
    values = list(dict.fromkeys(item for row in cells.values() for item in row))
    numbers = all(isinstance(item, int | float) for item in values)
    return sorted(values, key=float) if numbers else values


def _tables(key: str, cells: _Cells) -> Iterator[CrossTable]:
    values = _values(cells)
    metrics = {(metric, unit) for metric, unit, _ in cells}
    shared = in_common([where for _, _, where in cells])
    rest = {name for _, _, where in cells for name, _ in where if name not in shared}
    single = metrics.pop() if len(metrics) == 1 and rest else None
    only = rest.pop() if single and len(rest) == 1 else None
    caption = " ".join(filter(None, (single and _named(*single), "by", _key_title(key))))
    within = f" ({slice_text(shared)})" if shared else ""
    for start in range(0, len(values), _ACROSS):
        columns = values[start : start + _ACROSS]
        between = "\n" if len(columns) > _ONE_LINE else "  "
        yield CrossTable(
            f"{caption[:1].upper()}{caption[1:]}{within}{', continued' if start else ''}",
            _key_title(only).capitalize() if only else "Slice" if single else "Quantity",
            tuple(_title(key, item) for item in columns),
            tuple(
                Row(
                    _label(row, shared=shared, single=single is not None, only=only),
                    tuple(_cell(found.get(item), between) for item in columns),
                    _sizes([m.n for m in found.values()]),
                    tuple(dict.fromkeys(m.method for m in found.values())),
                )
                for row, found in cells.items()
            ),
        )


def in_common(slices: Sequence[Iterable[tuple[str, Scalar]]]) -> dict[str, Scalar]:
    """What all slices share, in the order of the first: a set's own differs between processes, and with it
    the bytes of a document.
    """
    common = set.intersection(*map(set, slices))
    return {name: item for name, item in slices[0] if (name, item) in common}


def _key_title(key: str) -> str:
    return slice_text({key: ""}).removesuffix(" = ").replace("_", " ")


def _named(metric: str, unit: str) -> str:
    return metric_title(metric) + (f", {unit}" if unit else "")


def _title(key: str, item: Scalar) -> str:
    """Names speak for themselves; a number needs its key."""
    return item.replace("_", " ") if isinstance(item, str) else slice_text({key: item})


def _label(row: _Row, *, shared: Mapping[str, Scalar], single: bool, only: str | None) -> str:
    """What tells this row from the others: `only` is the one key they differ in, if there is one."""
    metric, unit, where = row
    rest = {name: item for name, item in where if name not in shared}
    if only is not None:
        return _title(only, rest[only]) if only in rest else "all"
    told = slice_text(rest)
    return told or "all" if single else _named(metric, unit) + (f" ({told})" if told else "")


def _cell(m: Measurement | None, between: str) -> str:
    if m is None:
        return ""
    if m.value is None:
        return "not defined"
    return between.join(filter(None, (number(m), interval(m))))


def _sizes(sizes: list[int]) -> str:
    low, high = min(sizes), max(sizes)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"
