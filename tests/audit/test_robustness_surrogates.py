"""Surrogates come from a real registry, and only such as fit the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from raiaudit.attacks.evasion.images.transfer import Transfer
from raiaudit.attacks.spaces import ImageBox
from raiaudit.attacks.threats import ThreatModel
from raiaudit.audit.robustness.surrogates import load_surrogate
from raiaudit.errors import CapabilityError, RaiauditError, UnknownNameError, UsageError
from raiaudit.models.architectures import build
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.registry import Registry
from raiaudit.models.version import ModelVersion, TrainingRecord
from raiaudit.models.weights import weights_digest


def version(name: str, **config: Any) -> ModelVersion:
    torch.manual_seed(0)
    classifier = build("mlp", {"shape": [1, 4, 4], "classes": 3, "hidden": 8} | config)
    record = TrainingRecord(
        architecture="mlp",
        config=classifier.config,
        code_version="0",
        parameters=1,
        weights_digest=weights_digest(classifier.state_dict()),
    )
    return ModelVersion(name, 0, classifier, record)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    home: Path = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        opened = Registry.open(home)
    opened.add(version("fitting"), aliases=["candidate"])
    opened.add(version("wide", shape=[1, 6, 6]))
    opened.add(version("more", classes=4))
    return opened


@pytest.fixture
def dataset() -> Dataset:
    split = Split(
        pl.Series([str(row) for row in range(6)]),
        np.random.default_rng(0).integers(0, 256, (6, 1, 4, 4), dtype=np.uint8),
        np.zeros(6, dtype=np.int64),
    )
    return Dataset("small", "image", ("a", "b", "c"), ImageBox((1, 4, 4)), {"test": split}, digest="0")


def test_a_registered_model_prepares_an_attack(registry: Registry, dataset: Dataset) -> None:
    surrogate = load_surrogate(registry, "fitting@candidate", dataset)
    assert (surrogate.name, surrogate.version) == ("fitting", 1)
    x = surrogate.classifier.encode(dataset.splits["test"].inputs)
    with torch.no_grad():
        y = surrogate.classifier(x).argmax(1)
    result = Transfer(surrogates=[surrogate.classifier])(
        version("target").classifier, x, y, ThreatModel("linf", 0.5), space=dataset.space, seed=0
    )
    assert int(result.broken_B.sum()) > 0


@pytest.mark.parametrize(
    ("reference", "kind", "says"),
    [
        ("nobody", UnknownNameError, "nobody"),
        ("wide", UsageError, r"shape \[1, 6, 6\], small has image inputs of shape \[1, 4, 4\]"),
        ("more", UsageError, "4 classes, small has 3"),
    ],
)
def test_what_does_not_fit_is_refused(
    registry: Registry, dataset: Dataset, reference: str, kind: type[RaiauditError], says: str
) -> None:
    with pytest.raises(kind, match=says):
        load_surrogate(registry, reference, dataset)


def test_a_black_box_is_refused(
    registry: Registry, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingRecord, "is_black_box", True)
    with pytest.raises(CapabilityError, match="no gradient"):
        load_surrogate(registry, "fitting", dataset)
