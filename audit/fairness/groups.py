"""Group fairness: does the model treat groups of people alike?

For every group column: rates by group (Wilson), signed gaps to the largest group, the widest gap and the
impact ratio with simultaneous intervals, and permutation tests. With two classes, or a `positive` class,
all rates of `metrics.py`; without one, accuracy and macro recall. Groups under `min_group` examples of a
rate's condition, and people whose group is unknown, are reported but never an extreme.
Where the ledger holds evasion or membership rows, robust accuracy and membership risk by group as well.

Ledger columns: `fairness.label`, `fairness.predicted` (class indices), `fairness.score` (probability of the
positive class, where there is one and the model does not give labels alone) and `fairness.group.<column>`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import polars as pl
from pydantic import Field

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.fairness.cells import UNKNOWN, Axis, Cells
from raiaudit.audit.fairness.cross_pillar import area_by_group, membership_by_group, robustness_by_group
from raiaudit.audit.fairness.predictions_by_group import (
    accuracy_by_group,
    macro_recall_by_group,
    rates_by_group,
)
from raiaudit.audit.fairness.reporting import Reporter
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.performance.predictions import predict, shards
from raiaudit.errors import UnknownNameError

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["Groups", "GroupsConfig"]

_OUTCOME = ("fairness.label", "fairness.predicted")


class GroupsConfig(CheckConfig):
    """Which groups, which class is the favourable one, and how much evidence a comparison needs."""

    columns: tuple[str, ...] | None = Field(default=None, min_length=1, description="default: all of them")
    positive: str | None = Field(default=None, description="default: the last of two classes, else none")
    min_group: int = Field(default=30, ge=1, description="fewest examples for a rate to be compared")
    confidence: float = Field(default=0.95, gt=0, lt=1)
    permutations: int = Field(default=9999, ge=99)


class Groups:
    """Counts of label × prediction in every group, and what follows from them."""

    id: ClassVar[str] = "fairness.groups"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "Does the model treat groups of people alike?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LABELS, Capability.GROUPS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = GroupsConfig

    def tasks(self, subject: Subject, config: GroupsConfig) -> Sequence[Task]:
        """Shards of the test examples. Raises `UnknownNameError` for a column or class that is not there."""
        decides = {"columns": list(_columns(subject, config)), "positive": _positive(subject, config)}
        return shards(self.id, self.version, subject, decides)

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Predict one shard."""
        predictions, positive = predict(subject, task), task.config["positive"]
        rows = predictions.rows
        frame = pl.DataFrame(
            {
                "example_id": rows.ids,
                "fairness.label": rows.labels,
                "fairness.predicted": predictions.predicted,
                **{f"fairness.group.{name}": rows.groups[name] for name in task.config["columns"]},
            }
        )
        if positive is None or predictions.log_probabilities_NK is None:
            return frame
        return frame.with_columns(pl.Series("fairness.score", predictions.probabilities[:, positive]))

    def summarise(self, ledger: LedgerReader, subject: Subject, config: GroupsConfig) -> list[Measurement]:
        """All measurements of every attribute, each with `where` = {attribute, group, …}."""
        return [
            measurement
            for attribute in _columns(subject, config)
            for measurement in _attribute(ledger, subject, config, attribute)
        ]

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: GroupsConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`by_group` and `gaps`: measurements as tables; `counts`: attribute, group, label, predicted, n."""
        measured = self.summarise(ledger, subject, config)
        counts = [
            _cells(ledger, subject, attribute).table(attribute) for attribute in _columns(subject, config)
        ]
        return {
            "by_group": _table([m for m in measured if "group" in m.where and "reference" not in m.where]),
            "gaps": _table([m for m in measured if "reference" in m.where]),
            "counts": pl.concat(counts),
        }


def _columns(subject: Subject, config: GroupsConfig) -> tuple[str, ...]:
    known = subject.dataset.group_names
    for name in config.columns or ():
        if name not in known:
            raise UnknownNameError("group column", name, known, where="fairness.groups columns")
    return config.columns or known


def _positive(subject: Subject, config: GroupsConfig) -> int | None:
    classes = subject.dataset.classes
    if config.positive is None:
        return 1 if len(classes) == 2 else None
    if config.positive not in classes:
        raise UnknownNameError("class", config.positive, classes, where="fairness.groups positive")
    return classes.index(config.positive)


def _cells(ledger: LedgerReader, subject: Subject, attribute: str) -> Cells:
    group = f"fairness.group.{attribute}"
    rows = ledger.scan(group, *_OUTCOME).drop_nulls(_OUTCOME).collect()
    axis = Axis.of("group", rows[group])
    classes = subject.dataset.classes
    codes = [axis.codes(rows[group]), *(rows[column].to_numpy() for column in _OUTCOME)]
    return Cells.count([axis, Axis("label", classes), Axis("predicted", classes)], codes)


def _attribute(
    ledger: LedgerReader, subject: Subject, config: GroupsConfig, attribute: str
) -> list[Measurement]:
    group, positive, minimum = f"fairness.group.{attribute}", _positive(subject, config), config.min_group
    cells = _cells(ledger, subject, attribute)
    sizes = dict(zip(cells.axes[0].levels, cells.margin("group").counts.tolist(), strict=True))
    report = Reporter(
        check=Groups.id,
        attribute=attribute,
        reference=max(sizes, key=lambda level: (level != UNKNOWN, sizes[level])),
        confidence=config.confidence,
        seed=subject.seed,
        draws=config.permutations,
        evidence=(group, *_OUTCOME),
    )
    found = accuracy_by_group(report, cells, minimum)
    if positive is not None:
        found += rates_by_group(report, cells, positive, minimum)
        if Capability.PROBABILITIES in subject.capabilities:
            scored = ledger.scan(group, "fairness.label", "fairness.score").drop_nulls("fairness.score")
            found += area_by_group(report, scored.collect(), group, positive, minimum)
        else:
            reason = "the model gives labels alone: it has no scores to order examples by"
            found.append(report.undefined("auc_difference", "lower", "zou2008", reason))
    if len(subject.dataset.classes) > 2:
        found += macro_recall_by_group(report, cells, minimum)
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
