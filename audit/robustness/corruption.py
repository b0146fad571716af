"""Robustness to nature: accuracy on corrupted test images at severities 1–5 (arXiv:1903.12261).

The mean corruption error is the plain mean of the error over corruptions and severities (an example's
own share of errors, averaged over examples), not divided by a reference network's error as for ImageNet.

Ledger columns: `corruption.<name>-<severity>.correct`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.intervals import mean_bootstrap, wilson
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import UnknownNameError

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["Corruption", "CorruptionConfig"]

CORRUPTION_NAMES = ("gaussian_noise", "gaussian_blur")
"""Those of `CORRUPTIONS` in `attacks/corruptions/`; here so that a spec is valid without a tensor library."""

_BATCH = 256


class CorruptionConfig(CheckConfig):
    """Which corruptions, how strong, on how many examples."""

    corruptions: tuple[str, ...] = Field(default=CORRUPTION_NAMES, min_length=1)
    severities: tuple[int, ...] = Field(default=(1, 2, 3, 4, 5), min_length=1)
    examples: int | None = Field(default=None, ge=1, description="corrupt only the first n test examples")

    @field_validator("corruptions")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in CORRUPTION_NAMES:
                error = UnknownNameError("corruption", name, CORRUPTION_NAMES)
                raise ValueError(f"{error.problem}: {error.remedy}")
        return tuple(dict.fromkeys(names))

    @field_validator("severities")
    @classmethod
    def _one_to_five(cls, severities: tuple[int, ...]) -> tuple[int, ...]:
        if not set(severities) <= set(range(1, 6)):
            raise ValueError("a severity is a whole number from 1 (mild) to 5 (strong)")
        return tuple(sorted(set(severities)))


class Corruption:
    """One task a corruption and severity."""

    id: ClassVar[str] = "robustness.corruption"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "How much accuracy is lost to noise and blur?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LABELS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image"})
    Config: ClassVar[type[CheckConfig]] = CorruptionConfig

    def tasks(self, subject: Subject, config: CorruptionConfig) -> Sequence[Task]:
        """Every corruption at every severity."""
        total = len(subject.test)
        count = total if config.examples is None else min(total, config.examples)
        return [
            Task(
                check=self.id,
                name=f"{name}-{severity}",
                params={"corruption": name, "severity": severity, "count": count},
                version=self.version,
            )
            for name in config.corruptions
            for severity in config.severities
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Predictions on the corrupted images."""
        import torch

        from raiaudit.attacks.corruptions import CORRUPTIONS

        name, severity = task.params["corruption"], task.params["severity"]
        rows = subject.test.take(slice(0, task.params["count"]))
        parts = []
        with torch.no_grad():
            for start in range(0, len(rows), _BATCH):
                batch = rows.take(slice(start, start + _BATCH))
                x = CORRUPTIONS[name](
                    subject.tensor(batch.inputs),
                    severity,
                    seed=subject.seed,
                    ids=range(start, start + len(batch)),
                )
                parts.append(subject.classifier(x).argmax(1).cpu().numpy() == batch.labels)
        return pl.DataFrame({"example_id": rows.ids, _column(name, severity): np.concatenate(parts)})

    def summarise(
        self, ledger: LedgerReader, subject: Subject, config: CorruptionConfig
    ) -> list[Measurement]:
        """Accuracy at each severity, and the mean corruption error over all of them."""
        cells = [(name, severity) for name in config.corruptions for severity in config.severities]
        columns = [_column(*cell) for cell in cells]
        correct_NC = ledger.scan(*columns).drop_nulls(columns).select(columns).collect().to_numpy()
        n = len(correct_NC)
        found = []
        for (name, severity), column, correct_N in zip(cells, columns, correct_NC.T, strict=True):
            right = int(correct_N.sum())
            low, high = wilson(right, n)
            found.append(
                Measurement(
                    check=self.id,
                    metric="corruption_accuracy",
                    value=right / n,
                    low=low,
                    high=high,
                    n=n,
                    better="higher",
                    where={"corruption": name, "severity": severity},
                    method="hendrycks2019",
                    evidence=(column,),
                )
            )
        error_N = 1 - correct_NC.mean(axis=1)
        bounds = mean_bootstrap(error_N, rng=keyed_rng(subject.seed, self.id)) if n > 1 else (None, None)
        found.append(
            Measurement(
                check=self.id,
                metric="mean_corruption_error",
                value=float(error_N.mean()),
                low=bounds[0],
                high=bounds[1],
                n=n,
                better="lower",
                method="hendrycks2019",
                evidence=tuple(columns),
            )
        )
        return found

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: CorruptionConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`curve`: corruption, severity, accuracy, low, high."""
        rows = [
            {**m.where, "accuracy": m.value, "low": m.low, "high": m.high}
            for m in self.summarise(ledger, subject, config)
            if m.metric == "corruption_accuracy"
        ]
        return {"curve": pl.DataFrame(rows)}


def _column(name: str, severity: int) -> str:
    return f"corruption.{name}-{severity}.correct"
