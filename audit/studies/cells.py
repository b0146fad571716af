"""One number of one variant of a study, with its interval and its paired difference to the standard model.

Everything is read from finished runs: their ledgers hold the same examples, row by row. Differences of shares
are Bonett and Price's paired intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import hypot
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from raiaudit.audit.statistics.intervals import Interval, paired_difference, share_with_luck

if TYPE_CHECKING:
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.store import Run

__all__ = [
    "CONFIDENCE",
    "STANDARD",
    "Cell",
    "Cells",
    "Change",
    "Runs",
    "column_of",
    "measured_cells",
    "measurements_named",
    "paired_change",
    "shares",
    "undefined",
    "with_luck",
]

CONFIDENCE = 0.95
STANDARD = "standard"
"""The variant that all others are compared with; it comes first."""

Runs = Mapping[str, "Run"]
Cells = dict[str, "Cell"]


class Change(BaseModel):
    """This variant minus the standard one, on the `n` examples both were asked about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    difference: float
    low: float
    high: float
    n: int


class Cell(BaseModel):
    """A metric of one variant. Undefined is None with a reason; `slice` says what was measured exactly."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    better: str = "higher"
    slice: str = ""
    remark: str = ""
    reason: str | None = None
    change: Change | None = None


def column_of(run: Run, column: str) -> pl.DataFrame:
    """A ledger column of outcomes as `good`, with example_id."""
    if column not in run.ledger.columns():
        return pl.DataFrame(schema={"example_id": pl.String, "good": pl.Boolean})
    return run.ledger.scan(column).drop_nulls().collect().rename({column: "good"})


def shares(
    tables: Mapping[str, pl.DataFrame],
    interval: Callable[[int, int, float], Interval],
    *,
    where: str = "",
    better: str = "higher",
    remark: str = "",
) -> Cells:
    """The share of good rows of each, and its paired change; tables hold example_id and `good`."""
    found = {}
    for name, table in tables.items():
        n, good = table.height, int(table["good"].sum())
        limits = interval(good, n, CONFIDENCE)
        found[name] = Cell(
            value=good / n if n else None,
            low=limits.low if n else None,
            high=limits.high if n else None,
            n=n,
            slice=where,
            better=better,
            remark=remark,
            reason=None if n else "the ledger has no such rows: its check failed",
            change=paired_change(table, tables[STANDARD]) if name != STANDARD else None,
        )
    return found


def paired_change(ours: pl.DataFrame, base: pl.DataFrame, confidence: float = CONFIDENCE) -> Change | None:
    """The difference of the shares of good rows on the examples of both; None where there is none."""
    pairs = ours.join(base, on="example_id", suffix="_base")
    if not pairs.height:
        return None
    good, theirs = pairs["good"].to_numpy(), pairs["good_base"].to_numpy()
    limits = paired_difference(good, theirs, confidence)
    gap = float(good.mean() - theirs.mean())
    return Change(difference=gap, low=limits.low, high=limits.high, n=pairs.height)


def with_luck(cells: Cells, luck: Mapping[str, Interval]) -> Cells:
    """Of shares above a threshold, the intervals widened by what other luck in setting it would have made of
    them: `luck`, at the same confidence (MOVER, Zou and Donner, doi:10.1002/sim.3095).
    """
    found = {}
    for name, cell in cells.items():
        if cell.value is None or cell.low is None or cell.high is None:
            found[name] = cell
            continue
        down, up = cell.value - luck[name].low, luck[name].high - cell.value
        change = cell.change
        if change is not None and (base := cells[STANDARD].value) is not None:
            lowered, raised = base - luck[STANDARD].low, luck[STANDARD].high - base
            gap = change.difference
            low = max(-1.0, gap - hypot(gap - change.low, down, raised))
            high = min(1.0, gap + hypot(change.high - gap, up, lowered))
            change = change.model_copy(update={"low": low, "high": high})
        joined = share_with_luck(cell.value, Interval(cell.low, cell.high), luck[name])
        found[name] = cell.model_copy(update={**joined._asdict(), "change": change})
    return found


def measurements_named(run: Run, check: str, metric: str) -> list[Measurement]:
    """A check's measurements of one metric, in all slices."""
    return [m for m in run.results.measurements if m.check == check and m.metric == metric]


def measured_cells(
    runs: Runs, check: str, metric: str, where: Mapping[str, str], *, better: str = "lower"
) -> Cells:
    """The largest of the measurements of a metric, in the slice `where`."""
    found = {}
    for name, run in runs.items():
        measured = measurements_named(run, check, metric)
        defined = [m for m in measured if m.value is not None and where.items() <= m.where.items()]
        if not defined:
            outcome = next(
                (o.reason for o in run.results.checks if o.check == check), f"no {check} in the spec"
            )
            reason = measured[0].reason if measured else outcome
            found[name] = Cell(value=None, better=better, reason=reason or "not measured")
            continue
        largest = max(defined, key=lambda m: m.value or 0.0)
        slice_ = ", ".join(f"{key} = {value}" for key, value in largest.where.items())
        facts: dict[str, Any] = {"value": largest.value, "low": largest.low, "high": largest.high}
        found[name] = Cell(**facts, n=largest.n, better=better, slice=slice_)
    return found


def undefined(runs: Runs, reason: str, *, better: str = "higher") -> Cells:
    """A metric that no variant has."""
    return {name: Cell(value=None, reason=reason, better=better) for name in runs}
