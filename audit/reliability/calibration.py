"""Calibration: does the model err as often as its confidence says?

Expected calibration error over equal-width bins of the highest probability (arXiv:1706.04599, interval and
test in `binning.py`), the Brier score over all classes (Σ_k (p_k − y_k)², in [0, 2]) and the mean
overconfidence (confidence − accuracy, signed).

Ledger columns: `calibration.confidence` (float32), `calibration.correct`, `calibration.brier` (float32).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl
from pydantic import Field

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.performance.predictions import predict, shards
from raiaudit.audit.reliability.binning import bin_of, calibration_error
from raiaudit.audit.statistics.intervals import wilson
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.audit.statistics.means import mean_measurement

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["Calibration", "CalibrationConfig"]

_COLUMNS = ("calibration.confidence", "calibration.correct")


class CalibrationConfig(CheckConfig):
    """`bins` of equal width; `confidence` of all intervals; `resamples` of bootstrap and null model."""

    bins: int = Field(default=15, ge=2, le=1000, description="of confidence, all equally wide")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="of all intervals")
    resamples: int = Field(default=1000, ge=100, description="of the bootstrap and of the null test")


class Calibration:
    """Confidence against accuracy on the test examples."""

    id: ClassVar[str] = "reliability.calibration"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "Is the model right as often as its confidence claims?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LABELS, Capability.PROBABILITIES})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = CalibrationConfig

    def tasks(self, subject: Subject, config: CalibrationConfig) -> Sequence[Task]:
        """Shards of the test examples."""
        return shards(self.id, self.version, subject)

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Predict one shard."""
        predictions = predict(subject, task)
        probabilities_NK = predictions.probabilities
        outcome_NK = np.eye(probabilities_NK.shape[1])[predictions.rows.labels]
        return pl.DataFrame(
            {
                "example_id": predictions.rows.ids,
                "calibration.confidence": probabilities_NK.max(axis=1).astype(np.float32),
                "calibration.correct": predictions.correct,
                "calibration.brier": ((probabilities_NK - outcome_NK) ** 2).sum(axis=1).astype(np.float32),
            }
        )

    def summarise(
        self, ledger: LedgerReader, subject: Subject, config: CalibrationConfig
    ) -> list[Measurement]:
        """`ece` with its value under perfect calibration and p-value, `brier_score`, `overconfidence`."""
        rows = ledger.scan(*_COLUMNS, "calibration.brier").collect()
        confidence_N, correct_N = _outcomes(rows)
        error = calibration_error(
            confidence_N,
            correct_N,
            bins=config.bins,
            rng=keyed_rng(subject.seed, self.id, "ece"),
            confidence=config.confidence,
            resamples=config.resamples,
        )
        measure = partial(
            Measurement, check=self.id, confidence=config.confidence, n=rows.height, evidence=_COLUMNS
        )
        mean = partial(mean_measurement, check=self.id, confidence=config.confidence, seed=subject.seed)
        return [
            measure(
                metric="ece",
                value=error.value,
                low=error.low,
                high=error.high,
                better="lower",
                method="guo2017",
                reason=f"biased upwards: a perfectly calibrated model would show {error.expected_null:.4f}",
            ),
            measure(
                metric="ece_if_calibrated", value=error.expected_null, better="neither", method="brocker2007"
            ),
            measure(metric="ece_p_value", value=error.p_value, better="neither", method="brocker2007"),
            mean(
                rows["calibration.brier"],
                metric="brier_score",
                unit="squared error",
                better="lower",
                evidence=("calibration.brier",),
            ),
            mean(
                pl.Series(confidence_N - correct_N),
                metric="overconfidence",
                unit="",
                better="neither",
                evidence=_COLUMNS,
            ),
        ]

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: CalibrationConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`bins`: bin_low, bin_high, n, mean confidence, accuracy with low and high; null where empty."""
        confidence_N, correct_N = _outcomes(ledger.scan(*_COLUMNS).collect())
        bin_N = bin_of(confidence_N, config.bins)
        n_B = np.bincount(bin_N, minlength=config.bins).tolist()
        right_B = np.bincount(bin_N[correct_N], minlength=config.bins).tolist()
        sum_B = np.bincount(bin_N, confidence_N, minlength=config.bins).tolist()
        rows = []
        for index, (n, right, total) in enumerate(zip(n_B, right_B, sum_B, strict=True)):
            low, high = wilson(right, n, config.confidence) if n else (None, None)
            rows.append(
                {
                    "bin_low": index / config.bins,
                    "bin_high": (index + 1) / config.bins,
                    "n": n,
                    "confidence": total / n if n else None,
                    "accuracy": right / n if n else None,
                    "low": low,
                    "high": high,
                }
            )
        return {"bins": pl.DataFrame(rows, infer_schema_length=None)}


def _outcomes(rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    confidence, correct = (rows[column] for column in _COLUMNS)
    return confidence.to_numpy().astype(np.float64), correct.to_numpy()
