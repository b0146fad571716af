"""Robustness to nature: accuracy on corrupted test images at severities 1–5 (arXiv:1903.12261).

The fifteen corruptions of the paper unless a spec names others; `corruption_summary.py` says what is
measured.

Ledger columns: `corruption.clean.correct` and `corruption.<name>-<severity>.correct`, null where a black box
gave no answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import polars as pl
from pydantic import Field, field_validator

from raiaudit.attacks.spaces import ImageBox
from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.robustness.corruption_names import chosen
from raiaudit.audit.robustness.corruption_summary import CLEAN, column, measurements, outcomes, table
from raiaudit.audit.robustness.unanswered import clean_errors, known_only
from raiaudit.errors import QueryFailedError, UnknownNameError

if TYPE_CHECKING:
    import torch

    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject
    from raiaudit.models.data.dataset import Split

__all__ = ["Corruption", "CorruptionConfig"]

_BATCH = 256
_VALUES = 1 << 21
"""Pixel values corrupted at once: large images come in smaller batches, so that memory stays the same."""


class CorruptionConfig(CheckConfig):
    """Which corruptions, how strong, on how many examples."""

    corruptions: tuple[str, ...] = Field(
        default=("standard",),
        min_length=1,
        description="names of corruptions, or of groups: noise, blur, weather, digital, extra, standard, all",
    )
    severities: tuple[int, ...] = Field(
        default=(1, 2, 3, 4, 5), min_length=1, description="from 1 (mild) to 5 (strong)"
    )
    examples: int | None = Field(default=None, ge=1, description="corrupt only the first n test examples")

    @field_validator("corruptions")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            chosen(names)
        except UnknownNameError as error:
            raise ValueError(f"{error.problem}: {error.remedy}") from None
        return tuple(dict.fromkeys(names))

    @field_validator("severities")
    @classmethod
    def _one_to_five(cls, severities: tuple[int, ...]) -> tuple[int, ...]:
        if not set(severities) <= set(range(1, 6)):
            raise ValueError("a severity is a whole number from 1 (mild) to 5 (strong)")
        return tuple(sorted(set(severities)))

    @property
    def names(self) -> tuple[str, ...]:
        """The corruptions asked for, groups spelled out."""
        return chosen(self.corruptions)


class Corruption:
    """One task for the clean images and one a corruption, with all its severities."""

    id: ClassVar[str] = "robustness.corruption"
    version: ClassVar[int] = 2
    question: ClassVar[str] = "How much accuracy is lost to noise, blur, weather and processing?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LABELS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image"})
    Config: ClassVar[type[CheckConfig]] = CorruptionConfig

    def tasks(self, subject: Subject, config: CorruptionConfig) -> Sequence[Task]:
        """The clean images first."""
        total = len(subject.test)
        count = total if config.examples is None else min(total, config.examples)
        clean = Task(check=self.id, name="clean", params={"count": count}, version=self.version)
        severities = list(config.severities)
        return [
            clean,
            *(
                Task(
                    check=self.id,
                    name=name,
                    params={"corruption": name, "severities": severities, "count": count},
                    version=self.version,
                )
                for name in config.names
            ),
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Predictions on the clean or the corrupted images."""
        rows = subject.test.take(slice(0, task.params["count"]))
        if "corruption" not in task.params:
            return pl.DataFrame({"example_id": rows.ids, CLEAN: ~clean_errors(subject, rows)})
        name = task.params["corruption"]
        found = {
            column(name, severity): _correct(subject, rows, name, severity)
            for severity in task.params["severities"]
        }
        return pl.DataFrame({"example_id": rows.ids, **found})

    def summarise(
        self, ledger: LedgerReader, subject: Subject, config: CorruptionConfig
    ) -> list[Measurement]:
        """Mean corruption error, absolute and relative; errors by kind and corruption; accuracies."""
        found = outcomes(ledger, config.names, config.severities)
        return measurements(self.id, found, seed=subject.seed)

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: CorruptionConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`curve`: corruption, category, severity, accuracy, low, high, clean_accuracy."""
        return {"curve": table(outcomes(ledger, config.names, config.severities))}


def _correct(subject: Subject, rows: Split, name: str, severity: int) -> pl.Series:
    """Which corrupted images the model has right; null where a black box gave no answer."""
    import torch

    from raiaudit.attacks.corruptions import CORRUPTIONS

    space = subject.dataset.space
    assert isinstance(space, ImageBox), "a check for images alone"
    low, span = space.low, space.high - space.low
    labels_N = torch.from_numpy(rows.labels)
    size = max(1, min(_BATCH, _VALUES // max(1, rows.inputs[0].size)))
    right, known = [], []
    for start in range(0, len(rows), size):
        batch = rows.take(slice(start, start + size))
        x_BCHW = (subject.tensor(batch.inputs) - low) / span
        ids = range(start, start + len(batch))
        corrupted = CORRUPTIONS[name](x_BCHW, severity, seed=subject.seed, ids=ids) * span + low
        logits_BK, known_B = _answers(subject, corrupted)
        # An answer of NaN is no answer to the question, whatever index its maximum has.
        sound_B = ~logits_BK.isnan().any(1)
        right.append((logits_BK.argmax(1) == labels_N[start : start + size]) & sound_B)
        known.append(known_B)
    return known_only(torch.cat(right), torch.cat(known))


def _answers(subject: Subject, x_BCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    known_B = torch.ones(len(x_BCHW), dtype=torch.bool)
    with torch.no_grad():
        try:
            return subject.classifier(x_BCHW).float().cpu(), known_B
        except QueryFailedError as failure:
            known_B[list(failure.rows)] = False
            return failure.answers.float().cpu(), known_B
