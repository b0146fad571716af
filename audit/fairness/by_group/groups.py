"""Group fairness: does the model treat groups of people alike?

For every group column: rates by group (Wilson), signed gaps to the largest group, the widest gap and the
smallest ratio with simultaneous intervals, exact tests, and the gap that could have been seen. With two
classes, or a `positive` class, all rates of `metrics.py`, the inequality of benefits, and AUC and calibration
of the scores; without one, accuracy, macro averages and each class against the rest. Groups under `min_group`
examples of a rate's condition, and people whose group is unknown, are reported but never an extreme.
What other checks' rows say by group: robust accuracy, membership risk, calibration, explanations.
Ledger columns: those of `rows.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import polars as pl
from pydantic import Field

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.fairness.by_group.attribute import measure_attribute, measure_scores
from raiaudit.audit.fairness.by_group.cross_pillar import (
    area_by_group,
    membership_by_group,
    robustness_by_group,
)
from raiaudit.audit.fairness.by_group.findings import counts, most_telling, report_of, tables
from raiaudit.audit.fairness.by_group.quantities import quantities_by_group
from raiaudit.audit.fairness.counting.rows import (
    CHECK_ID,
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
    confidence: float = Field(default=0.95, gt=0, lt=1, description="of all intervals")
    permutations: int = Field(default=9999, ge=99, description="draws of the tests between groups")
    tolerance: float = Field(
        default=0.1, gt=0, le=0.5, description="the gap for which the examples needed are stated"
    )
    most_groups: int = Field(
        default=100, ge=2, description="groups of an attribute that have measurements of their own"
    )


class Groups:
    """Counts of label × prediction in every group, and what follows from them."""

    id: ClassVar[str] = CHECK_ID
    version: ClassVar[int] = 3
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
        return most_telling(_measured(ledger, subject, config), config.most_groups)

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: GroupsConfig
    ) -> Mapping[str, pl.DataFrame]:
        """Tables as in `groups_findings`."""
        columns = chosen_columns(subject, config.columns, check=self.id)
        positive = positive_class(subject, config.positive, check=self.id)
        by_column = [counts(ledger_tally(ledger, subject, [name], positive), [name]) for name in columns]
        return tables(_measured(ledger, subject, config)) | {"counts": pl.concat(by_column)}


def _measured(ledger: LedgerReader, subject: Subject, config: GroupsConfig) -> list[Measurement]:
    return [
        measurement
        for attribute in chosen_columns(subject, config.columns, check=CHECK_ID)
        for measurement in _attribute(ledger, subject, config, attribute)
    ]


def _attribute(
    ledger: LedgerReader, subject: Subject, config: GroupsConfig, attribute: str
) -> list[Measurement]:
    group, minimum = group_column(attribute), config.min_group
    positive = positive_class(subject, config.positive, check=CHECK_ID)
    tally = ledger_tally(ledger, subject, [attribute], positive)
    report = report_of(tally, attribute, config, subject.seed)
    found = measure_attribute(tally, report, minimum)
    if positive is not None:
        if Capability.PROBABILITIES in subject.capabilities:
            scored = ledger.scan(group, "fairness.label", "fairness.score").drop_nulls("fairness.score")
            found += area_by_group(report, scored.collect(), group, positive, minimum)
            found += measure_scores(tally, report, minimum, ordering=False)
        else:
            reason = "the model gives labels alone: it has no scores to order examples by"
            found.append(report.undefined("auc_difference", "lower", "zou2008", reason))
    found += robustness_by_group(report, ledger, group, minimum)
    found += membership_by_group(report, ledger, attribute, minimum)
    return [*found, *quantities_by_group(report, ledger, group, minimum)]
