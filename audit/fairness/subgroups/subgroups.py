"""Subgroup fairness: does the model serve any group of people worse, by any combination of attributes?

Every conjunction of levels of up to six group columns (`lattice`) is compared with everyone else in accuracy
and the rates of the positive class (`comparison`). One random half of the people is searched at a false
discovery rate; what is found is reduced to the groups that are the story (`attribution`) and confirmed on the
other half (`search`). So a confirmed finding is no accident of looking in hundreds of places, and its gap is
not flattered by having been picked.
Ledger columns: those of `rows.py`, which all checks of fairness share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.fairness.counting.rows import (
    OUTCOME,
    chosen_columns,
    group_column,
    ledger_tally,
    positive_class,
    row_tasks,
    rows_of,
)
from raiaudit.audit.fairness.findings import Findings
from raiaudit.audit.fairness.subgroups.lattice import MOST_ATTRIBUTES, require_few
from raiaudit.audit.fairness.subgroups.outcomes import ASKED, MetricName, answerable, halves_of
from raiaudit.audit.fairness.subgroups.reporting import Reporter
from raiaudit.audit.fairness.subgroups.search import search
from raiaudit.audit.fairness.subgroups.table import lattice_table
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.fairness.counting.tally import Tally
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject

__all__ = ["Subgroups", "SubgroupsConfig", "subgroup_findings"]

_ID = "fairness.subgroups"


class SubgroupsConfig(CheckConfig):
    """Which attributes are combined, what is compared, and how sure a finding has to be."""

    columns: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="at most six; default: all of them"
    )
    positive: str | None = Field(default=None, description="default: the last of two classes, else none")
    metrics: tuple[MetricName, ...] = Field(
        default=ASKED, min_length=1, description="the rates that are compared"
    )
    depth: int = Field(default=MOST_ATTRIBUTES, ge=1, description="most attributes a subgroup combines")
    min_support: int = Field(default=30, ge=1, description="fewest people a rate is compared of")
    min_gap: float = Field(default=0.0, ge=0, lt=1, description="a smaller gap is no finding")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="of all intervals")
    correction: Literal["bh", "by"] = Field(default="bh", description="of the search; by: any dependence")


def subgroup_findings(tally: Tally, config: SubgroupsConfig, *, seed: int) -> Findings:
    """The subgroups of a tally's attributes (or of `config.columns`) that fare worse than everyone else.

    People are counted, not weighted: no exact test knows weights. Raises `UsageError` for more attributes
    than six.
    """
    attributes = config.columns or tally.attributes
    require_few(attributes, where=f"{_ID} columns")
    report = Reporter(
        _ID, tally.total, config.confidence, config.min_support, (*map(group_column, attributes), *OUTCOME)
    )
    metrics = answerable(tally, config.metrics)
    if reason := _unanswerable(tally, config, metrics):
        return Findings(report.undefined(reason), {})
    found = search(
        halves_of(tally, attributes, keyed_rng(seed, _ID, "halves")),
        metrics,
        depth=config.depth,
        min_support=config.min_support,
        min_gap=config.min_gap,
        alpha=1 - config.confidence,
        correction=config.correction,
    )
    return Findings(report.measurements(found), {"lattice": lattice_table(found, config.confidence)})


def _unanswerable(tally: Tally, config: SubgroupsConfig, metrics: Sequence[str]) -> str | None:
    if tally.clusters is not None:
        return "rows that belong together are no independent people, as exact tests need: keep one of each"
    if not metrics:
        missing = "a positive class" if tally.labelled or tally.positive is None else "labels"
        return f"without {missing} none of {', '.join(config.metrics)} is known"
    return None


class Subgroups:
    """The lattice of the audited examples' groups."""

    id: ClassVar[str] = _ID
    version: ClassVar[int] = 1
    question: ClassVar[str] = (
        "Is there a group of people, by any combination of attributes, that the model serves worse?"
    )
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LABELS, Capability.GROUPS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = SubgroupsConfig

    def tasks(self, subject: Subject, config: SubgroupsConfig) -> Sequence[Task]:
        """Shards of the test examples. Raises `UsageError` for unknown names and too many columns."""
        require_few(chosen_columns(subject, config.columns, check=_ID), where=f"{_ID} columns")
        return row_tasks(subject, positive_class(subject, config.positive, check=_ID))

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Predict one shard."""
        return rows_of(task, subject)

    def summarise(self, ledger: LedgerReader, subject: Subject, config: SubgroupsConfig) -> list[Measurement]:
        """By metric, in `where.rate`: what was confirmed, with its gaps, and the worst there may be."""
        return _findings(ledger, subject, config).measurements

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: SubgroupsConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`lattice`: one row a subgroup and metric."""
        return _findings(ledger, subject, config).evidence


def _findings(ledger: LedgerReader, subject: Subject, config: SubgroupsConfig) -> Findings:
    attributes = chosen_columns(subject, config.columns, check=_ID)
    positive = positive_class(subject, config.positive, check=_ID)
    return subgroup_findings(ledger_tally(ledger, subject, attributes, positive), config, seed=subject.seed)
