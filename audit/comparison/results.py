"""What a comparison finds, as plain data: the JSON of `raiaudit compare --json`.

The first run is the reference: every difference is a run minus the reference.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from raiaudit.audit.gates import Status
from raiaudit.audit.measurement import Scalar

__all__ = ["Changed", "ComparedRun", "Comparison", "Delta", "Difference", "NotCompared", "Outcome"]

Outcome = Literal["better", "worse", "undecided", "unchanged", "unjudged"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ComparedRun(_Frozen):
    """A run of the comparison. `name` is the model's, with a number where two runs bear the same."""

    id: str
    name: str
    started: str
    verdict: Status
    partial: bool


class Difference(_Frozen):
    """One fact in which the runs differ: `values` has one entry a run, None where it is not set."""

    topic: Literal["data", "seed", "code", "model", "checks", "spec"]
    key: str
    values: tuple[str | None, ...]


class Delta(_Frozen):
    """One quantity in a run and in the reference, and the difference with its interval.

    `kind`: *yes/no* and *mean* are over the same `n` examples, paired; *AUC* over the same members and
    others, paired; *unpaired* are two estimates whose interval and test take them for independent, which is
    too cautious where they share examples. `p` is of no difference (None where there is no interval),
    `p_holm` corrected for all tests of its table. `fixed` and `broken` count the examples that a yes/no
    quantity gained and lost.
    """

    run: int = Field(ge=1, description="place among the runs")
    check: str
    metric: str
    where: dict[str, Scalar]
    group: tuple[str, str] | None = Field(default=None, description="group column and level")
    unit: str
    better: Literal["higher", "lower"]
    kind: Literal["yes/no", "mean", "AUC", "unpaired"]
    n: int
    reference: float
    value: float
    difference: float
    low: float | None
    high: float | None
    p: float | None = None
    p_holm: float | None = None
    fixed: int | None = None
    broken: int | None = None
    confidence: float

    @property
    def quantity(self) -> tuple[str, str, str]:
        """What was measured: equal for the same quantity in other runs."""
        return self.check, self.metric, repr(sorted(self.where.items()))

    @property
    def outcome(self) -> Outcome:
        """By the corrected p-value. A difference without an interval is shown, not judged."""
        if self.difference == 0 and (self.fixed or 0) == (self.broken or 0) == 0:
            return "unchanged"
        if self.p_holm is None:
            return "unjudged"
        if self.p_holm > 1 - self.confidence or self.difference == 0:
            return "undecided"
        return "better" if (self.difference > 0) == (self.better == "higher") else "worse"


class Changed(_Frozen):
    """The examples on which a run does well where the reference does not (`fixed`), and the others."""

    run: int = Field(ge=1)
    check: str
    metric: str
    where: dict[str, Scalar]
    fixed: tuple[str, ...]
    broken: tuple[str, ...]


class NotCompared(_Frozen):
    """Quantities that only one of the two has, or that were measured otherwise, and why."""

    run: int = Field(ge=1)
    check: str
    metrics: tuple[str, ...]
    reason: str


class Comparison(_Frozen):
    """`runs[0]` is the reference. `paired` and `unpaired` are the main tables, `slices` the many cells of one
    quantity (corruptions, classes), `groups` the paired yes/no quantities by group; each is a family of tests
    of its own.
    """

    runs: tuple[ComparedRun, ...]
    data: str
    data_digest: str
    audited: int
    confidence: float
    differences: tuple[Difference, ...]
    paired: tuple[Delta, ...]
    unpaired: tuple[Delta, ...]
    slices: tuple[Delta, ...]
    groups: tuple[Delta, ...]
    changed: tuple[Changed, ...]
    not_compared: tuple[NotCompared, ...]
