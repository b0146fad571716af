"""Accuracy on clean examples: overall, by class, balanced over classes, the log loss, and for two classes
the area under the ROC curve.

Ledger columns: `accuracy.correct`, `accuracy.predicted` and `accuracy.label` (class indices),
`accuracy.confidence` (highest probability) and `accuracy.log_loss` (nats) unless the model gives labels
alone, `accuracy.log_odds` of the second of two classes, and `group.<column>` for every group column of the
data, so that any summary can slice without loading the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl
from pydantic import Field

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.performance.predictions import predict, shards
from raiaudit.audit.statistics.intervals import Interval, auc_delong, average, wilson
from raiaudit.audit.statistics.means import mean_measurement

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["Accuracy", "AccuracyConfig"]


class AccuracyConfig(CheckConfig):
    """`confidence` of all intervals."""

    confidence: float = Field(default=0.95, gt=0, lt=1, description="of all intervals")


class Accuracy:
    """Counts of right and wrong answers on the test examples."""

    id: ClassVar[str] = "performance.accuracy"
    version: ClassVar[int] = 2
    question: ClassVar[str] = "How often is the model right on examples it has never seen?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LABELS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = AccuracyConfig

    def tasks(self, subject: Subject, config: AccuracyConfig) -> Sequence[Task]:
        """Shards of the test examples."""
        return shards(self.id, self.version, subject)

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Predict one shard."""
        predictions = predict(subject, task)
        rows = predictions.rows
        scores = {}
        if predictions.log_probabilities_NK is not None:
            scores = {
                "accuracy.confidence": predictions.probabilities.max(axis=1).astype(np.float32),
                "accuracy.log_loss": predictions.log_loss.astype(np.float32),
            }
            if len(subject.dataset.classes) == 2:
                scores["accuracy.log_odds"] = np.diff(predictions.log_probabilities_NK, axis=1)[:, 0]
        return pl.DataFrame(
            {
                "example_id": rows.ids,
                "accuracy.correct": predictions.correct,
                "accuracy.predicted": predictions.predicted,
                "accuracy.label": rows.labels,
                **scores,
                **{f"group.{name}": rows.groups[name] for name in rows.groups.columns},
            }
        )

    def summarise(self, ledger: LedgerReader, subject: Subject, config: AccuracyConfig) -> list[Measurement]:
        """`accuracy`, `balanced_accuracy`, `log_loss`, `auc` for two classes, and `recall` of every class."""
        rows = ledger.scan("accuracy.correct").collect()
        n, right = rows.height, int(rows["accuracy.correct"].sum())
        low, high = wilson(right, n, config.confidence)
        accuracy = Measurement(
            check=self.id,
            metric="accuracy",
            value=right / n,
            low=low,
            high=high,
            confidence=config.confidence,
            n=n,
            better="higher",
            method="wilson1927",
            evidence=("accuracy.correct",),
        )
        by_class = _by_class(ledger, subject, config)
        recalls = [_recall(row, config) for row in by_class.iter_rows(named=True)]
        log_loss, auc = _log_loss(ledger, subject, config), _auc(ledger, subject, config)
        return [accuracy, _balanced(recalls, config), log_loss, *auc, *recalls]

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: AccuracyConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`by_class` (class, n, recall, low, high) and `confusion` (label, predicted, n; zeros left out)."""
        names = dict(enumerate(subject.dataset.classes))
        confusion = (
            ledger.scan("accuracy.label", "accuracy.predicted")
            .group_by(label="accuracy.label", predicted="accuracy.predicted")
            .agg(n=pl.len())
            .sort("label", "predicted")
            .with_columns(pl.col("label", "predicted").replace_strict(names, return_dtype=pl.String))
            .collect()
        )
        return {"by_class": _by_class(ledger, subject, config), "confusion": confusion}


def _log_loss(ledger: LedgerReader, subject: Subject, config: AccuracyConfig) -> Measurement:
    if Capability.PROBABILITIES not in subject.capabilities:
        return Measurement(
            check=Accuracy.id,
            metric="log_loss",
            value=None,
            confidence=config.confidence,
            n=0,
            unit="nats",
            better="lower",
            method="efron1987",
            reason="the model gives labels alone: it has no probabilities",
        )
    return mean_measurement(
        ledger.scan("accuracy.log_loss").collect()["accuracy.log_loss"],
        check=Accuracy.id,
        metric="log_loss",
        confidence=config.confidence,
        unit="nats",
        better="lower",
        seed=subject.seed,
        evidence=("accuracy.log_loss",),
    )


def _auc(ledger: LedgerReader, subject: Subject, config: AccuracyConfig) -> list[Measurement]:
    """P(log-odds of an example of the second class > of one of the first); empty unless it is defined."""
    if len(subject.dataset.classes) != 2 or Capability.PROBABILITIES not in subject.capabilities:
        return []
    rows = ledger.scan("accuracy.label", "accuracy.log_odds").collect()
    odds_N, second_N = rows["accuracy.log_odds"].to_numpy(), rows["accuracy.label"].to_numpy() == 1
    area = auc_delong(odds_N[second_N], odds_N[~second_N], config.confidence)
    return [
        Measurement(
            check=Accuracy.id,
            metric="auc",
            value=area.value,
            low=None if area.value is None else area.low,
            high=None if area.value is None else area.high,
            confidence=config.confidence,
            n=rows.height,
            better="higher",
            method="delong1988",
            reason=None if area.value is not None else "the audited examples are all of one class",
            evidence=("accuracy.label", "accuracy.log_odds"),
        )
    ]


def _by_class(ledger: LedgerReader, subject: Subject, config: AccuracyConfig) -> pl.DataFrame:
    rows = ledger.scan("accuracy.label", "accuracy.correct").collect()
    labels, correct = rows["accuracy.label"].to_numpy(), rows["accuracy.correct"].to_numpy()
    classes = subject.dataset.classes
    n_K = np.bincount(labels, minlength=len(classes)).tolist()
    right_K = np.bincount(labels[correct], minlength=len(classes)).tolist()
    limits = [wilson(k, n, config.confidence) for k, n in zip(right_K, n_K, strict=True)]
    return pl.DataFrame(
        {
            "class": classes,
            "n": n_K,
            "recall": [k / n if n else None for k, n in zip(right_K, n_K, strict=True)],
            "low": [limit.low for limit in limits],
            "high": [limit.high for limit in limits],
        },
        schema_overrides={"recall": pl.Float64},
    )


def _recall(row: dict[str, Any], config: AccuracyConfig) -> Measurement:
    return Measurement(
        check=Accuracy.id,
        metric="recall",
        value=row["recall"],
        low=row["low"],
        high=row["high"],
        confidence=config.confidence,
        n=row["n"],
        better="higher",
        where={"class": row["class"]},
        method="wilson1927",
        reason=None if row["n"] else "no audited example of this class",
        evidence=("accuracy.label", "accuracy.correct"),
    )


def _balanced(recalls: Sequence[Measurement], config: AccuracyConfig) -> Measurement:
    """The mean recall; undefined where a class is absent, for without it the question is another one."""
    absent = [str(recall.where["class"]) for recall in recalls if recall.value is None]
    values = [recall.value for recall in recalls if recall.value is not None]
    limits = [Interval(m.low, m.high) for m in recalls if m.low is not None and m.high is not None]
    low, high = (None, None) if absent else average(values, limits)
    return Measurement(
        check=Accuracy.id,
        metric="balanced_accuracy",
        value=None if absent else sum(values) / len(values),
        low=low,
        high=high,
        confidence=config.confidence,
        n=sum(recall.n for recall in recalls),
        better="higher",
        method="zou2008",
        reason=f"no audited example of class {', '.join(absent[:5])}" if absent else None,
        evidence=("accuracy.label", "accuracy.correct"),
    )
