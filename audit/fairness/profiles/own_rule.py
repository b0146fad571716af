"""A rule of the user's own: its thresholds held against the metrics of `fairness.groups`, interval and all.

A threshold is judged as a gate is: met or missed only where the interval says so. The measurement counts the
thresholds missed; its upper end counts those that are not shown to be met.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from raiaudit.audit.fairness.profiles.record import Recorder, table
from raiaudit.audit.gates import decide

if TYPE_CHECKING:
    from raiaudit.audit.fairness.profiles.profile import OwnRule
    from raiaudit.audit.measurement import Measurement

__all__ = ["judge"]

SCHEMA = {
    "profile": pl.String,
    "metric": pl.String,
    "slice": pl.String,
    "threshold": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "status": pl.String,
    "explanation": pl.String,
}


def judge(
    rule: OwnRule, measured: Sequence[Measurement], *, check: str, confidence: float, n: int
) -> tuple[Measurement, pl.DataFrame]:
    """`measured` are the measurements of `check`; a threshold on none of them is not shown to be met."""
    verdicts = [decide(check, gate, measured) for gate in rule.thresholds]
    rows: list[dict[str, Any]] = []
    for gate, verdict in zip(rule.thresholds, verdicts, strict=True):
        m = verdict.measurement
        where = gate.where if m is None else m.where
        rows.append(
            {
                "profile": rule.id,
                "metric": gate.metric,
                "slice": ", ".join(f"{key} = {item}" for key, item in where.items()),
                "threshold": gate.threshold(),
                "value": None if m is None else m.value,
                "low": None if m is None else m.low,
                "high": None if m is None else m.high,
                "status": verdict.status,
                "explanation": verdict.explanation,
            }
        )
    missed = sum(verdict.status == "fail" for verdict in verdicts)
    unmet = sum(verdict.status != "pass" for verdict in verdicts)
    found = Recorder({"profile": rule.id}, confidence).measure(
        "thresholds_missed",
        float(missed),
        (float(missed), float(unmet)),
        n=n,
        method="raji2020",
        better="lower",
        unit="thresholds",
        reason=f"{rule.citation}; owner {rule.owner}, {rule.date.isoformat()}: "
        f"{missed} of {len(verdicts)} missed, {unmet - missed} undecided",
    )
    return found, table(SCHEMA, rows)
