"""A measurement: one quantity with its uncertainty, where it was taken, and by which method.

Undefined is `value=None` with a `reason`, never 0. `low`/`high` bound the value at `confidence`;
both are None where the quantity is deterministic (an accountant's ε) or no interval is defined.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Measurement", "Scalar", "agrees", "labelled", "matches"]

Scalar = str | float | int | bool


class Measurement(BaseModel):
    """`metric` of `check` in the slice `where` ({"eps": 0.15}, {"group": "race=Other"}, …).

    `unit` is "" for a fraction in [0, 1]; `n` counts the examples behind the value; `method` is a citation
    id of the report's bibliography; `evidence` names the ledger columns it was computed from. `doubts` names
    metrics that cannot be trusted for the reason given here: no gate on one of them, or on one whose name
    begins so, passes in a run with this measurement. `support` counts the examples of the smallest group
    behind a comparison of groups. `cap` is the largest value that could have come out, whatever is measured:
    a gate that allows so much could not have failed, and does not pass. `beside` is a key of `where`: a gate
    that does not name it is about the measurement this one stands beside.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    check: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    confidence: float = Field(default=0.95, gt=0, lt=1)
    n: int = Field(ge=0)
    unit: str = ""
    better: Literal["higher", "lower", "neither"]
    where: dict[str, Scalar] = Field(default_factory=dict)
    method: str
    reason: str | None = None
    evidence: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    beside: str | None = None
    support: int | None = Field(default=None, ge=0)
    cap: float | None = None

    @model_validator(mode="after")
    def _undefined_has_a_reason(self) -> Measurement:
        numbers = [number for number in (self.value, self.low, self.high, self.cap) if number is not None]
        if any(not math.isfinite(number) for number in numbers):
            raise ValueError(f"{self.metric}: NaN and infinity are not values; use None with a reason")
        if self.value is None and not self.reason:
            raise ValueError(f"{self.metric}: an undefined value needs a reason")
        if self.doubts and not self.reason:
            raise ValueError(f"{self.metric}: a doubt needs a reason")
        return self

    def label(self) -> str:
        """For people: `robust_accuracy (eps=0.15, attack=pgd)`."""
        return labelled(self.metric, self.where)


def labelled(metric: str, where: Mapping[str, Scalar]) -> str:
    """A metric with its slice, numbers to four digits."""
    parts = ", ".join(f"{key}={_short(value)}" for key, value in where.items())
    return f"{metric} ({parts})" if parts else metric


def _short(value: Scalar) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def matches(measurement: Measurement, metric: str, where: Mapping[str, Scalar]) -> bool:
    """Whether a gate's (metric, where) selects this measurement.

    Keys that `where` leaves out match anything, but for what stands `beside`.
    """
    if measurement.metric != metric or (measurement.beside and measurement.beside not in where):
        return False
    return agrees(measurement.where, where)


def agrees(slice_: Mapping[str, Scalar], wanted: Mapping[str, Scalar]) -> bool:
    """Whether a slice has every key of `wanted` with its value; keys that `wanted` leaves out match anything.

    Numbers compare as labels print them, to four digits. `{class: 3}` finds the class called "3".
    """
    for key, value in wanted.items():
        found = slice_.get(key)
        if isinstance(value, float | int) and isinstance(found, float | int):
            if not math.isclose(float(value), float(found), rel_tol=5.1e-4, abs_tol=1e-12):
                return False
        elif found != value and not (isinstance(found, str) and found == str(value)):
            return False
    return True
