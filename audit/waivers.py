"""Waivers: gates that may stand open for a while, who answers for it, why, and until when.

A file is a YAML list:

    - check: robustness.evasion
      metric: robust_accuracy
      where: {eps: 8/255}            # leave out for every gate on the metric
      model: digits-cnn              # leave out for every model
      owner: r.ait@example.org
      reason: adversarial training lands in the next release
      expires: 2027-01-31            # the last day (UTC) on which it counts
      issue: https://tracker.example.org/RAI-12

A waiver is about gates as the spec writes them, not about what they measured: `where` is held against the
gate's own `where`. So one group of many is waived by giving it a gate of its own, and a waiver can never
hide a second group that fails under the same gate.

Errors: `SpecError` with file, line and key for what is missing, empty, unknown or no date.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from raiaudit.audit.measurement import agrees, labelled
from raiaudit.audit.spec_errors import Mistake, examined, refusal, unknown
from raiaudit.audit.yaml_source import read_yaml
from raiaudit.models.numbers import SliceValue

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from raiaudit.audit.measurement import Scalar

__all__ = ["Waiver", "load_waivers"]


def _day(value: Any) -> Any:
    if type(value) is not date and not isinstance(value, str):  # a number would be taken for seconds
        raise ValueError("must be a date such as 2027-01-31")
    return value


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class Waiver(BaseModel):
    """Whose decision it is (`owner`) that these gates do not count up to and including the day `expires`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    check: Name
    metric: Name
    where: dict[str, SliceValue] = Field(default_factory=dict)
    model: Name | None = None
    owner: Name
    reason: Words
    expires: Annotated[date, BeforeValidator(_day)]
    issue: Name | None = None

    def covers(self, check: str, metric: str, where: Mapping[str, Scalar]) -> bool:
        """Whether it is about the gate of this check on this metric in this slice."""
        return (self.check, self.metric) == (check, metric) and agrees(where, self.where)

    def counts(self, day: date) -> bool:
        """Whether it is still in force on that day."""
        return day <= self.expires

    def title(self) -> str:
        """For people: `robustness.evasion/robust_accuracy (eps=0.03137) of digits-cnn`."""
        of = f" of {self.model}" if self.model else ""
        return f"{self.check}/{labelled(self.metric, self.where)}{of}"


def load_waivers(path: Path) -> tuple[Waiver, ...]:
    """The waivers of a file, in its order."""
    from raiaudit.audit.catalogue import all_checks

    source = read_yaml(path, list)
    waivers: list[Waiver] = []
    mistakes: list[Mistake] = []
    for i, entry in enumerate(source.data):
        waiver, wrong = examined(Waiver, entry, at=(i,))
        mistakes += wrong
        if waiver is None:
            continue
        waivers.append(waiver)
        if waiver.check not in all_checks():
            mistakes.append(unknown("check", waiver.check, all_checks(), (i, "check")))
    if mistakes:
        raise refusal(mistakes, source)
    return tuple(waivers)
