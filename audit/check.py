"""What a check is: three functions in one file, split so that an audit can resume, shard and join.

`tasks` lists shardable units, `execute` does one of them and returns rows keyed by `example_id`
(the only function that may touch the model), `summarise` turns the ledger into measurements (pure,
cheap, no model). `evidence` may add tables for charts. A check file imports no tensor library at
module level: whatever is heavy is imported inside `execute`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject

__all__ = ["Capability", "Check", "CheckConfig", "FollowUp", "Task"]


class Capability(StrEnum):
    """What may be asked of a model under audit."""

    LABELS = "labels"
    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    GRADIENTS = "gradients"
    WEIGHTS = "weights"
    TRAINING_DATA = "training data"
    RETRAINING = "retraining recipe"
    GROUPS = "group columns"


class CheckConfig(BaseModel):
    """Base of a check's options; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Task:
    """One unit of work, plain data: picklable and small.

    `name` is unique within the check and usable as a file name; `params` is JSON data that `execute`
    understands; `config` is the check's configuration as JSON data; `version` is the check's algorithm
    version: raising it makes old shards stale.
    """

    check: str
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1

    def key(self, *, model_digest: str, data_digest: str, seed: int) -> str:
        """Content key of the shard this task yields: sha256 (hex) of everything that decides its rows."""
        content = {
            "model": model_digest,
            "data": data_digest,
            "seed": seed,
            "check": self.check,
            "version": self.version,
            "task": self.name,
            "params": dict(self.params),
            "config": dict(self.config),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@runtime_checkable
class Check(Protocol):
    """`question` is the one sentence a report asks; `modalities` what kinds of input it understands."""

    id: ClassVar[str]
    version: ClassVar[int]
    question: ClassVar[str]
    needs: ClassVar[frozenset[Capability]]
    modalities: ClassVar[frozenset[str]]
    Config: ClassVar[type[CheckConfig]]

    def tasks(self, subject: Subject, config: Any) -> Sequence[Task]:
        """The units of work, in an order that puts cheap ones first."""
        ...

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Rows keyed by `example_id` (String) with globally unique column names `<pillar>.<what>…`."""
        ...

    def summarise(self, ledger: LedgerReader, subject: Subject, config: Any) -> list[Measurement]:
        """Measurements from the ledger alone."""
        ...

    def evidence(self, ledger: LedgerReader, subject: Subject, config: Any) -> Mapping[str, pl.DataFrame]:
        """Tables behind charts, by name; written to `evidence/<check>/<name>.parquet`."""
        ...


@runtime_checkable
class FollowUp(Protocol):
    """A check with tasks that depend on what others found, listed once all of `tasks` have run.

    What they depend on belongs into their `params`: it decides their key.
    """

    id: ClassVar[str]

    def follow_up(self, ledger: LedgerReader, subject: Subject, config: Any) -> Sequence[Task]:
        """Further units of work; none where what they depend on is missing."""
        ...
