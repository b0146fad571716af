"""Group fairness: does the model treat groups of people alike?

For every group column: rates by group (Wilson), signed gaps to the largest group, the widest gap and the
impact ratio with simultaneous intervals, and permutation tests. With two classes, or a `positive` class,
all rates of `metrics.py`; without one, accuracy and macro recall. Groups under `min_group` examples of a
rate's condition, and people whose group is unknown, are reported but never an extreme.
Where the ledger holds evasion or membership rows, robust accuracy and membership risk by group as well.
Ledger columns: those of `rows.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import polars as pl
from pydantic import Field

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.fairness.by_group.attribute import measure_attribute, reporter
from raiaudit.audit.fairness.by_group.cross_pillar import (
    area_by_group,
    membership_by_group,
    robustness_by_group,
)
from raiaudit.audit.fairness.counting.rows import (
    CHECK_ID,
    OUTCOME,
    chosen_columns,
    group_column,
    ledger_tally,
    positive_class,
    row_tasks,
    rows_of,
)
from raiaudit.audit.measurement import Measurement

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["Groups", "GroupsConfig"]


class GroupsConfig(CheckConfig):
    """Which groups, which class is the favourable one, and how much evidence a comparison needs."""

    columns: tuple[str, ...] | None = Field(default=None, min_length=1, description="default: all of them")
    positive: str | None = Field(default=None, description="default: the last of two classes, else none")
    min_group: int = Field(default=30, ge=1, description="fewest examples for a rate to be compared")
    confidence: float = Field(default=0.95, gt=0, lt=1)
    permutations: int = Field(default=9999, ge=99)


class Groups:
    """Counts of label × prediction in every group, and what follows from them."""

    id: ClassVar[str] = CHECK_ID
    version: ClassVar[int] = 2
    question: ClassVar[str] = "Does the model treat groups of people alike?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LABELS, Capability.GROUPS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = GroupsConfig

    def tasks(self, subject: Subject, config: GroupsConfig) -> Sequence[Task]:
        """Shards of the test examples. Raises `UnknownNameError` for a column or class that is not there."""
        chosen_columns(subject, config.columns, check=self.id)
        return row_tasks(subject, positive_class(subject, config.positive, check=self.id))

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Predict one shard."""
        return rows_of(task, subject)

    def summarise(self, ledger: LedgerReader, subject: Subject, config: GroupsConfig) -> list[Measurement]:
        """All measurements of every attribute, each with `where` = {attribute, group, …}."""
        return [
            measurement
            for attribute in chosen_columns(subject, config.columns, check=self.id)
            for measurement in _attribute(ledger, subject, config, attribute)
        ]

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: GroupsConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`by_group` and `gaps`: measurements as tables; `counts`: attribute, group, label, predicted, n."""
        measured = self.summarise(ledger, subject, config)
        positive = positive_class(subject, config.positive, check=self.id)
        counts = [
            ledger_tally(ledger, subject, [attribute], positive).cells(attribute).table(attribute)
            for attribute in chosen_columns(subject, config.columns, check=self.id)
        ]
        return {
            "by_group": _table([m for m in measured if "group" in m.where and "reference" not in m.where]),
            "gaps": _table([m for m in measured if "reference" in m.where]),
            "counts": pl.concat(counts),
        }


def _attribute(
    ledger: LedgerReader, subject: Subject, config: GroupsConfig, attribute: str
) -> list[Measurement]:
    group, minimum = group_column(attribute), config.min_group
    positive = positive_class(subject, config.positive, check=CHECK_ID)
    tally = ledger_tally(ledger, subject, [attribute], positive)
    report = reporter(
        tally,
        attribute,
        check=CHECK_ID,
        confidence=config.confidence,
        seed=subject.seed,
        permutations=config.permutations,
        evidence=(group, *OUTCOME),
    )
    found = measure_attribute(tally, report, minimum)
    if positive is not None:
        if Capability.PROBABILITIES in subject.capabilities:
            scored = ledger.scan(group, "fairness.label", "fairness.score").drop_nulls("fairness.score")
            found += area_by_group(report, scored.collect(), group, positive, minimum)
        else:
            reason = "the model gives labels alone: it has no scores to order examples by"
            found.append(report.undefined("auc_difference", "lower", "zou2008", reason))
    found += robustness_by_group(report, ledger, group, minimum)
    found += membership_by_group(report, ledger, attribute, minimum)
    return found


_TABLE = {
    "attribute": pl.String,
    "group": pl.String,
    "reference": pl.String,
    "metric": pl.String,
    "slice": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
    "note": pl.String,
}


def _table(measured: Sequence[Measurement]) -> pl.DataFrame:
    """`slice` is the rest of `where` ("linf 0.15 pgd"), `note` the reason, if any."""
    own = ("attribute", "group", "reference")
    rows = [
        {
            **{key: m.where.get(key) for key in own},
            "metric": m.metric,
            "slice": " ".join(str(value) for key, value in m.where.items() if key not in own),
            "value": m.value,
            "low": m.low,
            "high": m.high,
            "n": m.n,
            "note": m.reason,
        }
        for m in measured
    ]
    return pl.DataFrame(rows, schema=_TABLE)
