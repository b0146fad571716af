"""The rows every check of fairness counts: predictions of the test examples with all their group columns.

Checks of one spec share them: their tasks are the same tasks of `fairness.groups`, done once.
Ledger columns: `fairness.label`, `fairness.predicted` (class indices), `fairness.score` (probability of the
positive class, where there is one and the model does not give labels alone) and `fairness.group.<column>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from raiaudit.audit.fairness.counting.tally import TAKEN, Tally
from raiaudit.audit.performance.predictions import predict, shards
from raiaudit.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from raiaudit.audit.check import Task
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = [
    "CHECK_ID",
    "OUTCOME",
    "chosen_columns",
    "group_column",
    "ledger_tally",
    "positive_class",
    "row_tasks",
    "rows_of",
]

CHECK_ID = "fairness.groups"
OUTCOME = ("fairness.label", "fairness.predicted")
_VERSION = 2


def group_column(attribute: str) -> str:
    """The ledger's column of an attribute."""
    return f"fairness.group.{attribute}"


def chosen_columns(subject: Subject, columns: Sequence[str] | None, *, check: str) -> tuple[str, ...]:
    """The group columns asked for, or all.

    Raises `UnknownNameError` for one that is not there, `UsageError` for one with a name of the tables' own.
    """
    known = subject.dataset.group_names
    for name in columns or ():
        if name not in known:
            raise UnknownNameError("group column", name, known, where=f"{check} columns")
    chosen = tuple(columns or known)
    if taken := [name for name in chosen if name in TAKEN or name == "example_id"]:
        raise UsageError(
            f"a group column cannot be called {taken[0]!r}, which the tables of counts use themselves",
            where=f"{check} columns",
            remedy="rename it in the data, or name the other columns alone",
        )
    return chosen


def positive_class(subject: Subject, positive: str | None, *, check: str) -> int | None:
    """The class rates count: the one named, else the last of two. Raises `UnknownNameError`."""
    classes = subject.dataset.classes
    if positive is None:
        return 1 if len(classes) == 2 else None
    if positive not in classes:
        raise UnknownNameError("class", positive, classes, where=f"{check} positive")
    return classes.index(positive)


def row_tasks(subject: Subject, positive: int | None) -> list[Task]:
    """Shards of the test examples; `positive` decides the column of scores."""
    return shards(CHECK_ID, _VERSION, subject, {"positive": positive})


def rows_of(task: Task, subject: Subject) -> pl.DataFrame:
    """Predict one shard."""
    predictions, positive = predict(subject, task), task.config["positive"]
    rows = predictions.rows
    frame = pl.DataFrame(
        {
            "example_id": rows.ids,
            "fairness.label": rows.labels,
            "fairness.predicted": predictions.predicted,
            **{group_column(name): rows.groups[name] for name in subject.dataset.group_names},
        }
    )
    if positive is None or predictions.log_probabilities_NK is None:
        return frame
    return frame.with_columns(pl.Series("fairness.score", predictions.probabilities[:, positive]))


def ledger_tally(
    ledger: LedgerReader, subject: Subject, attributes: Sequence[str], positive: int | None
) -> Tally:
    """The audited examples counted by these attributes jointly."""
    columns = {group_column(name): name for name in attributes}
    columns |= {"fairness.label": "label", "fairness.predicted": "predicted"}
    if "fairness.score" in ledger.columns():
        columns["fairness.score"] = "score"
    rows = ledger.scan(*columns).drop_nulls(OUTCOME).rename(columns)
    return Tally.of(rows, attributes=attributes, classes=subject.dataset.classes, positive=positive)
