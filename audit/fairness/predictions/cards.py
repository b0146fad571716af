"""What a report says of a file of predictions where it else describes a model and its data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

import raiaudit
from raiaudit.audit.results import DataCard, SubjectCard
from raiaudit.models.names import PREDICTIONS
from raiaudit.models.version import LoadRecord, TrainingRecord

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.audit.fairness.counting.tally import Tally
    from raiaudit.audit.fairness.predictions.options import PredictionOptions
    from raiaudit.audit.fairness.predictions.rows import PredictionRows

__all__ = ["data_card", "file_name", "subject_card"]

_NAMED = 8


def file_name(paths: Sequence[Path]) -> str:
    """`a.csv`, or `a.csv and 3 more files`."""
    more = len(paths) - 1
    return f"{paths[0].name} and {more} more files" if more else paths[0].name


def subject_card(options: PredictionOptions, rows: PredictionRows, tally: Tally, digest: str) -> SubjectCard:
    """No model was seen; what is known of the predictions is their bytes, whose sha256 is `digest`."""
    limits = [
        "No model was seen: these are predictions from a file. Who made them, with what, and whether the "
        "model had learnt from these people, the file does not say."
    ]
    if not tally.labelled:
        limits.append("The file has no labels: nothing here says whether a prediction is right.")
    if rows.missing:
        lacking = ", ".join(f"{n:,} without {option[2:]}" for option, n in rows.missing.items())
        limits.append(
            f"{rows.total - tally.total:,} of {rows.total:,} rows were left out as incomplete ({lacking}); "
            "if they differ from the others, so do the true numbers."
        )
    config = {option[2:]: column for option, column in options.columns.items()}
    if options.pred is None:
        config["predicted"] = f"where the score is at least {options.cut:g}"
    record = TrainingRecord(
        architecture=PREDICTIONS,
        config=config,
        classes=tally.classes,
        code_version=raiaudit.__version__,
        parameters=0,
        weights_digest=digest,
        loaded=LoadRecord(form="a file of predictions", limits=tuple(limits)),
    )
    return SubjectCard(name=options.title, version=0, record=record)


def data_card(paths: Sequence[Path], rows: PredictionRows, tally: Tally, digest: str) -> DataCard:
    """The rows of the file and of every group."""
    groups = {}
    for attribute in tally.attributes:
        sizes = tally.table.group_by(attribute).agg(pl.col("n").sum()).sort(attribute)
        groups[attribute] = {str(level): int(n) for level, n in sizes.iter_rows()}
    return DataCard(
        name=file_name(paths),
        modality=PREDICTIONS,
        classes=tally.classes,
        digest=digest,
        sizes={"file": rows.total},
        audited=tally.total,
        groups=groups,
        source=", ".join(path.name for path in paths[:_NAMED]),
    )
