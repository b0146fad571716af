"""Subjects to audit: any classifier over any arrays, without a registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from raiaudit.audit.check import Check, Task
from raiaudit.audit.ledger import Ledger
from raiaudit.audit.subject import Subject
from raiaudit.models.version import ModelVersion, TrainingRecord

if TYPE_CHECKING:
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.data.dataset import Dataset

MakeSubject = Callable[..., Subject]
RunCheck = Callable[[Check, Subject, Any], Ledger]


@pytest.fixture
def make_subject() -> MakeSubject:
    """(classifier, dataset, **changes of the record) → Subject on the CPU, seed 0."""

    def make(classifier: Classifier, dataset: Dataset, **record: Any) -> Subject:
        base: dict[str, Any] = {
            "architecture": "planted",
            "config": {},
            "data_name": dataset.name,
            "data_digest": dataset.digest,
            "code_version": "test",
            "parameters": 1,
            "weights_digest": "0",
        }
        facts = TrainingRecord(**{**base, **record})

        return Subject(
            name="planted",
            dataset=dataset,
            record=facts,
            version=ModelVersion("planted", 0, classifier, facts),
            seed=0,
            device_name="cpu",
        )

    return make


@pytest.fixture
def run_check(tmp_path_factory: pytest.TempPathFactory) -> RunCheck:
    """Every task of a check, through a real ledger in a new folder."""

    def run(check: Check, subject: Subject, config: Any) -> Ledger:
        ledger = Ledger(tmp_path_factory.mktemp("ledger"))
        for task in check.tasks(subject, config):
            frame: pl.DataFrame = check.execute(task, subject)
            ledger.append(task, _key(task), frame)
        return ledger

    return run


def _key(task: Task) -> str:
    return task.key(model_digest="0", data_digest="0", seed=0)


@pytest.fixture
def make_echo(make_subject: MakeSubject) -> Callable[..., Subject]:
    """(logits_NK, labels_N, classes=…, groups=…) → Subject whose model answers exactly these logits."""
    import numpy as np
    from torch import Tensor

    from raiaudit.attacks.spaces import Column, TableSchema
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.data.dataset import Dataset, Split

    class Echo(Classifier):
        architecture = "echo"
        modality = "tabular"

        def forward(self, inputs: Tensor) -> Tensor:
            return inputs

    def make(
        logits: Any, labels: Any, *, classes: tuple[str, ...], groups: dict[str, list[str]] | None = None
    ) -> Subject:
        rows = np.asarray(logits, dtype=np.float32)
        ids = pl.Series("id", [f"row/{index:06d}" for index in range(len(rows))])
        columns = pl.DataFrame(groups or {})
        split = Split(ids, rows, np.asarray(labels, dtype=np.int64), columns)
        dataset = Dataset(
            name="echo",
            modality="tabular",
            classes=classes,
            space=TableSchema(tuple(Column(name, "real", -1e6, 1e6) for name in classes)),
            splits={"test": split},
            digest="0",
            group_names=tuple(columns.columns),
        )
        return make_subject(Echo(), dataset)

    return make
