"""Gates and verdicts: a threshold, the measurement it selects, and what the interval allows to say.

A gate passes only if the confidence bound clears the threshold; an interval that spans the threshold
is inconclusive, whatever the point estimate says. `min` and `max` are inclusive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from raiaudit.audit.measurement import Measurement, matches
from raiaudit.audit.waivers import Waiver
from raiaudit.models.numbers import Fraction, SliceValue

__all__ = [
    "LATEST_PASSING",
    "SEVERITY",
    "Baseline",
    "Gate",
    "Status",
    "Verdict",
    "decide",
    "overall",
    "selected",
]

Status = Literal["pass", "fail", "inconclusive", "not_run", "error"]

_MOST_EXAMPLES = 1e9

LATEST_PASSING = "latest-passing"
"""As a baseline: the newest other run of the model, on the same data, that passed."""

SEVERITY: dict[Status, int] = {"pass": 0, "not_run": 1, "inconclusive": 2, "error": 3, "fail": 4}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Baseline(_Frozen):
    """How far the audited model may fall behind a baseline run on the same examples.

    `max_drop` is in the unit of the metric and in the direction that is worse: a log loss may so much rise.
    """

    run: str = Field(
        min_length=1,
        description="id of the baseline run, the start of one, `latest-passing`, or a run directory",
    )
    max_drop: Fraction = Field(ge=0, description="how much worse it may be, in the unit of the metric")


class Gate(_Frozen):
    """`metric` in the slice `where` must be at least `min` or at most `max` (or both)."""

    metric: str = Field(description="a name of docs/reference/metrics.md")
    where: dict[str, SliceValue] = Field(
        default_factory=dict,
        description="the slice meant, such as {eps: 8/255} or {attribute: sex}; default: every one",
    )
    min: Fraction | None = Field(default=None, description="the whole interval must be at least this")
    max: Fraction | None = Field(default=None, description="the whole interval must be at most this")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="of the interval that is judged")
    vs_baseline: Baseline | None = Field(
        default=None, description="instead of a threshold: no worse than an earlier run"
    )

    @model_validator(mode="after")
    def _has_a_threshold(self) -> Gate:
        if self.min is None and self.max is None and self.vs_baseline is None:
            raise ValueError("a gate needs `min`, `max` or `vs_baseline`")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}: no value can pass")
        return self

    def threshold(self) -> str:
        """For people: `≥ 0.4`, `≤ 0.1`, `in [0.8, 1.25]`."""
        if self.min is not None and self.max is not None:
            return f"in [{self.min:g}, {self.max:g}]"
        if self.min is not None:
            return f"≥ {self.min:g}"
        if self.max is not None:
            return f"≤ {self.max:g}"
        assert self.vs_baseline is not None
        return f"drop ≤ {self.vs_baseline.max_drop:g} vs {self.vs_baseline.run}"


class Verdict(_Frozen):
    """What a gate says, about which measurement, and why in one sentence.

    A `waiver` changes none of this: whether it counts depends on the day, see `raiaudit.audit.gating`.
    """

    status: Status
    check: str
    gate: Gate | None
    measurement: Measurement | None
    explanation: str
    waiver: Waiver | None = None

    def waived(self, day: date) -> bool:
        """Whether it would count against the run, but for a waiver in force on that day."""
        return self.status != "pass" and self.waiver is not None and self.waiver.counts(day)


def decide(check: str, gate: Gate, measurements: Sequence[Measurement]) -> Verdict:
    """The verdict of one gate over the measurements of its check.

    When `where` leaves several measurements (say one per group) each must clear the gate; the
    worst one decides and is the one shown.
    """
    chosen = selected(check, gate, measurements)
    if not chosen:
        known = sorted({m.label() for m in measurements if m.check == check})
        listed = "; ".join(known[:12]) if known else "none"
        text = f"no measurement matches {gate.metric} {dict(gate.where) or ''} (measured: {listed})"
        return Verdict(status="not_run", check=check, gate=gate, measurement=None, explanation=text)
    verdicts = [_decide_one(check, gate, measurement) for measurement in chosen]
    return max(verdicts, key=lambda verdict: SEVERITY[verdict.status])


def selected(check: str, gate: Gate, measurements: Sequence[Measurement]) -> list[Measurement]:
    """The measurements a gate is about."""
    return [m for m in measurements if m.check == check and matches(m, gate.metric, dict(gate.where))]


def _decide_one(check: str, gate: Gate, measurement: Measurement) -> Verdict:
    status, text = _compare(gate, measurement)
    return Verdict(status=status, check=check, gate=gate, measurement=measurement, explanation=text)


def _compare(gate: Gate, m: Measurement) -> tuple[Status, str]:
    if gate.min is None and gate.max is None:
        return "pass", f"{m.label()} is judged against a baseline alone"
    if m.value is None:
        return "inconclusive", f"{m.label()} is undefined: {m.reason}"
    if (m.low, m.high) != (None, None) and m.confidence < gate.confidence - 1e-9:
        asked, had = f"{gate.confidence:.0%}", f"{m.confidence:.0%}"
        return "inconclusive", f"{m.label()} has a {had} interval where the gate asks for {asked}"
    low = m.value if m.low is None else m.low
    high = m.value if m.high is None else m.high
    span = f"{m.value:.4g}" if low == high else f"{m.value:.4g} [{low:.4g}, {high:.4g}]"
    below = gate.min is not None and high < gate.min
    above = gate.max is not None and low > gate.max
    if below or above:
        return "fail", f"{m.label()} = {span} misses {gate.threshold()}"
    clears = (gate.min is None or low >= gate.min) and (gate.max is None or high <= gate.max)
    if clears and gate.max is not None and m.cap is not None and m.cap <= gate.max:
        return "inconclusive", (
            f"{m.label()} = {span}, but {m.cap:.4g} is the most that n = {m.n} could have shown: nothing "
            f"could have missed {gate.threshold()}"
        )
    if clears:
        return "pass", f"{m.label()} = {span} clears {gate.threshold()}"
    spans = f"{m.label()} = {span} spans the threshold {gate.threshold()} (n = {m.n}{_deciding(gate, m)})"
    return "inconclusive", spans


def _deciding(gate: Gate, m: Measurement) -> str:
    """How many examples of the smallest group compared would decide: an interval shrinks as 1/√n."""
    if m.value is None or m.low is None or m.high is None or not m.support:
        return ""
    needed = 0.0
    for threshold in (gate.min, gate.max):
        if threshold is None or not m.low <= threshold <= m.high:
            continue
        if threshold == m.value:
            return ""
        reach = m.high - m.value if threshold > m.value else m.value - m.low
        needed = max(needed, m.support * (reach / (threshold - m.value)) ** 2)
    if not math.isfinite(needed) or needed > _MOST_EXAMPLES:
        return ""
    return (
        f"; the smallest group has {m.support} examples: about {math.ceil(needed):d}, the others growing "
        "alike, would decide it if the value stays"
    )


def overall(verdicts: Sequence[Verdict]) -> Status:
    """The verdict of a run: a failed gate decides; without any gate nothing was decided."""
    if not verdicts:
        return "inconclusive"
    return max((verdict.status for verdict in verdicts), key=SEVERITY.__getitem__)
