"""Corruptions on classifiers whose errors are known beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from raiaudit.attacks.corruptions import CORRUPTIONS
from raiaudit.attacks.corruptions.noise import GAUSSIAN_NOISE
from raiaudit.attacks.spaces import ImageBox
from raiaudit.audit.robustness.corruption import CORRUPTION_NAMES, Corruption, CorruptionConfig
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import Dataset, Split


class FirstPixel(Classifier):
    """Says 1 where the first pixel is above one half."""

    architecture = "planted"
    modality = "image"

    def forward(self, inputs: Tensor) -> Tensor:
        score_B = inputs[:, 0, 0, 0] - 0.5
        return torch.stack([-score_B, score_B], dim=1)


def images(value: float, n: int) -> Dataset:
    pixels = np.full((n, 1, 8, 8), value, dtype=np.float32)
    split = Split(pl.Series([f"e{row:04d}" for row in range(n)]), pixels, np.ones(n, dtype=np.int64))
    return Dataset("planted", "image", ("no", "yes"), ImageBox((1, 8, 8)), {"test": split}, digest="planted")


def test_noise_breaks_as_often_as_the_normal_distribution_says(make_subject: Any, run_check: Any) -> None:
    """P(0.55 + σz > 0.5) = Φ(0.05/σ) for each severity's σ."""
    check, config = Corruption(), CorruptionConfig(corruptions=("gaussian_noise",))
    subject = make_subject(FirstPixel(), images(0.55, 1500))
    measured = check.summarise(run_check(check, subject, config), subject, config)
    sigma = np.array(GAUSSIAN_NOISE.small)
    expected = torch.special.ndtr(torch.from_numpy(0.05 / sigma)).numpy()
    values = [m.value or 0.0 for m in measured if m.metric == "corruption_accuracy"]
    np.testing.assert_allclose(values, expected, atol=0.04)
    mean = next(m for m in measured if m.metric == "mean_corruption_error")
    assert mean.value is not None
    assert mean.low is not None
    assert mean.high is not None
    assert mean.value == pytest.approx(1 - np.mean(values))
    assert mean.low < mean.value < mean.high


def test_blur_leaves_a_flat_image_alone(make_subject: Any, run_check: Any) -> None:
    check, config = (
        Corruption(),
        CorruptionConfig(corruptions=("gaussian_blur",), severities=(1, 5), examples=30),
    )
    subject = make_subject(FirstPixel(), images(0.6, 40))
    ledger = run_check(check, subject, config)
    assert [m.value for m in check.summarise(ledger, subject, config)] == [1, 1, 0]
    curve = check.evidence(ledger, subject, config)["curve"]
    assert curve["severity"].to_list() == [1, 5]
    assert curve.columns == ["corruption", "severity", "accuracy", "low", "high"]
    assert ledger.scan("corruption.gaussian_blur-1.correct").collect().height == 30


def test_names_are_those_of_the_catalogue() -> None:
    assert tuple(CORRUPTIONS) == CORRUPTION_NAMES


@pytest.mark.parametrize(
    ("options", "says"),
    [({"corruptions": ["gausian_blur"]}, "did you mean 'gaussian_blur'"), ({"severities": [0]}, "from 1")],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        CorruptionConfig.model_validate(options)
