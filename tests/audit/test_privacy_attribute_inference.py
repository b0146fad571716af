"""Attribute inference: a model that memorised the column leaks it, one that only knows the world does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import ttest_ind
from torch import Tensor

from raiaudit.attacks.spaces import Column, TableSchema
from raiaudit.audit.privacy.inference.attribute_inference import AttributeInference, AttributeInferenceConfig
from raiaudit.audit.statistics.means import mean_gap
from raiaudit.errors import CapabilityError, UnknownNameError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from raiaudit.audit.measurement import Measurement

SIDE = 400
SCHEMA = TableSchema(
    (
        Column("key", "real", 0, 1),
        Column("job", "category", categories=("x", "y")),
        Column("sex", "category", categories=("a", "b", "c")),
    )
)


def table() -> Dataset:
    """sex is even over three values; job is told by sex in four cases of five; key names the record."""
    rng = np.random.default_rng(0)
    splits = {}
    for name in ("train", "validation", "test"):
        sex = rng.integers(0, 3, SIDE)
        job = np.where(rng.random(SIDE) < 0.8, sex > 0, rng.random(SIDE) < 0.5).astype(int)
        x = np.hstack([rng.random((SIDE, 1)), np.eye(2)[job], np.eye(3)[sex]]).astype(np.float32)
        y = np.where(rng.random(SIDE) < 0.9, job, 1 - job)
        groups = pl.DataFrame({"sex": [("a", "b", "c")[s] for s in sex]})
        splits[name] = Split(pl.Series([f"{name}{i}" for i in range(SIDE)]), x, y, groups)
    return Dataset("people", "tabular", ("n", "y"), SCHEMA, splits, digest="0", group_names=("sex",))


class Worldly(Classifier):
    """Knows that the label goes with job and sex, of members and strangers alike."""

    architecture, modality = "worldly", "tabular"

    def forward(self, inputs: Tensor) -> Tensor:
        score = 2 * inputs[:, 2] + 1.5 * inputs[:, 4] + 1.5 * inputs[:, 5] - 2
        return score[:, None] * score.new_tensor([-0.5, 0.5])


class Memory(Worldly):
    """Surer of the label of a training record if it is shown as it was."""

    def __init__(self, rows: Split) -> None:
        super().__init__()
        self.known = {
            float(key): (int(sex), int(label))
            for key, sex, label in zip(
                rows.inputs[:, 0], rows.inputs[:, 3:].argmax(1), rows.labels, strict=True
            )
        }

    def forward(self, inputs: Tensor) -> Tensor:
        logits = super().forward(inputs)
        for row, values in enumerate(inputs.tolist()):
            sex, label = self.known.get(values[0], (-1, 0))
            if sex >= 0:
                logits[row, label] = 3.0 if values[3 + sex] == 1 else -3.0
                logits[row, 1 - label] = 0.0
        return logits


def measured(subject: Any, run_check: Any, **options: Any) -> dict[str, Measurement]:
    config = AttributeInferenceConfig(**{"pool": SIDE, **options})
    ledger = run_check(AttributeInference(), subject, config)
    table = AttributeInference().evidence(ledger, subject, config)["gain"]
    assert table.columns == ["column", "of", "value", "low", "high", "n"]
    return {m.label(): m for m in AttributeInference().summarise(ledger, subject, config)}


def test_a_model_that_memorised_the_column_leaks_it(make_subject: Any, run_check: Any) -> None:
    data = table()
    found = measured(make_subject(Memory(data.splits["train"]), data), run_check)
    # The likelihood of the true value is σ(3) / σ(−3) = 20 times that of either other one.
    right = found["attribute_accuracy (column=sex, of=members, attack=posterior)"]
    assert (right.low or 0) > 0.85
    imputed = found["attribute_accuracy (column=sex, of=members, attack=imputation)"]
    assert 0.4 < (imputed.value or 0) < 0.65  # by the job: a for sure of x, else a coin between b and c
    gain = found["attribute_gain (column=sex, of=members)"]
    assert gain.value == pytest.approx((right.value or 0) - (imputed.value or 0))
    for metric in ("attribute_leak", "attribute_leak_nats"):
        assert (found[f"{metric} (column=sex)"].low or 0) > 0.2, metric


def test_a_model_that_knows_the_world_leaks_nothing(make_subject: Any, run_check: Any) -> None:
    found = measured(make_subject(Worldly(), table()), run_check)
    for metric in ("attribute_leak", "attribute_leak_nats"):
        leak = found[f"{metric} (column=sex)"]
        assert leak.low is not None
        assert leak.low < 0 < (leak.high or 0), metric


def test_columns_are_the_groups_that_are_categories_or_those_asked_for(make_subject: Any) -> None:
    data = table()
    subject = make_subject(Worldly(), data)

    def columns(*names: str) -> list[str]:
        tasks = AttributeInference().tasks(subject, AttributeInferenceConfig(columns=names or None))
        return [task.params["column"] for task in tasks]

    assert columns() == ["sex"]
    assert columns("job", "sex") == ["job", "sex"]
    with pytest.raises(UnknownNameError, match="jobb"):
        columns("jobb")
    with pytest.raises(CapabilityError, match="no category"):
        columns("key")
    nobody = Dataset("p", "tabular", data.classes, SCHEMA, data.splits, digest="0", group_names=("age",))
    with pytest.raises(CapabilityError, match="no group column"):
        AttributeInference().tasks(make_subject(Worldly(), nobody), AttributeInferenceConfig())


def test_the_gap_of_means_is_welchs() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 2, 17), rng.normal(0, 0.5, 40)
    expected = ttest_ind(a, b, equal_var=False).confidence_interval(0.9)
    found = mean_gap(a, b, 0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert mean_gap(np.ones(3), np.zeros(2)) == (1.0, 1.0)
