"""What an audit concludes: the content of `results.json` and of `header.json`.

`results.json` holds nothing that differs between two runs of the same audit (no time, no machine);
those are in the header. Its JSON Schema is committed as `audit/schema/results.schema.json`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from raiaudit.audit.gates import Status, Verdict
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.waivers import Waiver
from raiaudit.models.version import TrainingRecord

__all__ = ["CheckOutcome", "DataCard", "Results", "RunHeader", "SubjectCard"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CheckOutcome(_Frozen):
    """How one check of the plan ended: `ran`, `not_run` (with the reason) or `error` (with the message)."""

    check: str
    question: str
    status: Literal["ran", "not_run", "error"]
    reason: str | None = None
    config: dict[str, object] = Field(default_factory=dict)
    tasks: int = 0


class DataCard(_Frozen):
    """The data set as the report describes it. `sizes` maps split names to numbers of examples."""

    name: str
    modality: str
    classes: tuple[str, ...]
    digest: str
    sizes: dict[str, int]
    audited: int
    groups: dict[str, dict[str, int]] = Field(
        default_factory=dict, description="group column → level → audited examples"
    )
    source: str = ""
    licence: str = ""


class SubjectCard(_Frozen):
    """The model as the report describes it."""

    name: str
    version: int
    record: TrainingRecord


class Results(_Frozen):
    """`results.json`. `partial` is true when `--limit` cut the audited examples.

    `verdict` and the verdicts are what was measured; waivers are attached to them, and `idle_waivers` are
    those that match no gate here, but neither changes a status (see `raiaudit.audit.gating`).
    """

    schema_version: Literal[1] = 1
    run: str
    verdict: Status
    partial: bool
    purpose: str = ""
    subject: SubjectCard
    data: DataCard
    seed: int
    checks: tuple[CheckOutcome, ...]
    measurements: tuple[Measurement, ...]
    verdicts: tuple[Verdict, ...]
    idle_waivers: tuple[Waiver, ...] = ()


class RunHeader(_Frozen):
    """`header.json`: small, so that a list of runs reads headers only. Times are ISO 8601 in UTC.

    `suite` groups the runs that one spec started (one per model); `spec_digest` is that of the spec
    as written. `verdict` is None until the run has finished. `command` repeats the run where no spec does.
    """

    id: str
    suite: str
    model: str
    data: str
    modality: str
    status: Literal["running", "finished", "failed", "interrupted"]
    verdict: Status | None = None
    started: str
    finished: str | None = None
    seconds: float | None = None
    partial: bool = False
    error: str | None = None
    progress: tuple[int, int] = Field(default=(0, 0), description="tasks finished, tasks in the plan")
    versions: dict[str, str] = Field(default_factory=dict)
    machine: str = ""
    spec_path: str = ""
    command: str = ""
    owner: str = ""
    purpose: str = ""
    risk_class: str = ""
    gates: dict[str, int] = Field(default_factory=dict, description="verdict status → number of gates")
