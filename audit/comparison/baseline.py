"""A gate against a baseline run: the change of one yes/no column, example by example.

A column ending in `.broken` counts as its opposite, so that a positive change is always an improvement.
Interval: Bonett and Price (2012) for paired proportions, doi:10.3102/1076998611411915.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from raiaudit.audit.gates import Verdict
from raiaudit.audit.ledger import ID
from raiaudit.audit.statistics.intervals import paired_difference

if TYPE_CHECKING:
    from raiaudit.audit.gates import Gate, Status
    from raiaudit.audit.ledger import Ledger
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.store import Run

__all__ = ["Change", "decide_against", "paired_change"]

_YES_NO = (".correct", ".broken")


@dataclass(frozen=True, slots=True)
class Change:
    """Fractions of the `n` shared examples on which each run did well, and ours minus baseline."""

    name: str
    n: int
    ours: float
    baseline: float
    difference: float
    low: float
    high: float


def paired_change(ours: Ledger, baseline: Ledger, column: str, *, confidence: float = 0.95) -> Change | None:
    """The change of one column over the examples both ledgers hold; None if they share none."""
    pairs = (
        ours.scan(column)
        .join(baseline.scan(column), on=ID, how="inner", suffix=".baseline")
        .drop_nulls()
        .select(pl.col(column).cast(pl.Boolean), pl.col(f"{column}.baseline").cast(pl.Boolean))
        .collect()
    )
    if pairs.height == 0:
        return None
    good, theirs = pairs[column].to_numpy(), pairs[f"{column}.baseline"].to_numpy()
    if column.endswith(".broken"):
        good, theirs = ~good, ~theirs
    low, high = paired_difference(good, theirs, confidence)
    mean, base = float(good.mean()), float(theirs.mean())
    return Change(column, pairs.height, mean, base, mean - base, low, high)


def decide_against(check: str, gate: Gate, measurement: Measurement, ours: Ledger, baseline: Run) -> Verdict:
    """Whether `measurement` dropped by no more than the gate allows, example by example."""
    assert gate.vs_baseline is not None
    columns = [name for name in measurement.evidence if name.endswith(_YES_NO)]
    if not columns or not _is_mean(measurement, ours, columns[0]):
        text = f"{measurement.label()} is not the share of examples that one column of the ledger counts"
        return Verdict(status="not_run", check=check, gate=gate, measurement=measurement, explanation=text)
    if columns[0] not in baseline.ledger.columns():
        text = f"{baseline.id} holds no examples to pair with {measurement.label()}"
        return Verdict(status="not_run", check=check, gate=gate, measurement=measurement, explanation=text)
    change = paired_change(ours, baseline.ledger, columns[0], confidence=gate.confidence)
    if change is None:
        text = f"{baseline.id} was audited on other examples"
        return Verdict(status="not_run", check=check, gate=gate, measurement=measurement, explanation=text)
    drop = f"drop {-change.difference:.4g} [{-change.high:.4g}, {-change.low:.4g}]"
    limit = gate.vs_baseline.max_drop
    status: Status = "inconclusive"
    if -change.low <= limit:
        status = "pass"
    elif -change.high > limit:
        status = "fail"
    text = f"{measurement.label()}: {drop} against {baseline.id} where at most {limit:g} is allowed"
    return Verdict(status=status, check=check, gate=gate, measurement=measurement, explanation=text)


def _is_mean(measurement: Measurement, ledger: Ledger, column: str) -> bool:
    """Whether pairing this column over all examples says something about the measurement."""
    mean = ledger.scan(column).select(pl.col(column).cast(pl.Float64).mean()).collect().item()
    if mean is None or measurement.value is None:
        return False
    share = 1 - mean if column.endswith(".broken") else mean
    return math.isclose(share, measurement.value, abs_tol=1e-9)
