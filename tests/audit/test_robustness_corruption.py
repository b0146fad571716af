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
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.robustness.corruption import Corruption, CorruptionConfig
from raiaudit.audit.robustness.corruption_names import CATEGORIES, CATEGORY, GROUPS, chosen
from raiaudit.errors import QueryFailedError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import Dataset, Split


class FirstPixel(Classifier):
    """Says 1 where the first pixel is above the middle of the box."""

    architecture = "planted"
    modality = "image"
    middle = 0.5

    def forward(self, inputs: Tensor) -> Tensor:
        score_B = inputs[:, 0, 0, 0] - self.middle
        return torch.stack([-score_B, score_B], dim=1)


def images(value: float, n: int, *, wrong: int = 0, low: float = 0.0, high: float = 1.0) -> Dataset:
    """n flat images of class 1, the last `wrong` of them labelled 0."""
    pixels = np.full((n, 1, 8, 8), value, dtype=np.float32)
    labels = np.ones(n, dtype=np.int64)
    labels[n - wrong :] = 0
    split = Split(pl.Series([f"e{row:04d}" for row in range(n)]), pixels, labels)
    space = ImageBox((1, 8, 8), low, high)
    return Dataset("planted", "image", ("no", "yes"), space, {"test": split}, digest="planted")


def one(measured: list[Measurement], metric: str, **where: object) -> Measurement:
    found = [m for m in measured if m.metric == metric and m.where == where]
    assert len(found) == 1
    return found[0]


def test_noise_breaks_as_often_as_the_normal_distribution_says(make_subject: Any, run_check: Any) -> None:
    """P(0.55 + σz > 0.5) = Φ(0.05/σ) for each severity's σ."""
    check, config = Corruption(), CorruptionConfig(corruptions=("gaussian_noise",))
    subject = make_subject(FirstPixel(), images(0.55, 1500))
    measured = check.summarise(run_check(check, subject, config), subject, config)
    sigma = np.array(GAUSSIAN_NOISE.small)
    expected = torch.special.ndtr(torch.from_numpy(0.05 / sigma)).numpy()
    values = [m.value or 0.0 for m in measured if m.metric == "corruption_accuracy"]
    np.testing.assert_allclose(values, expected, atol=0.04)
    mean = one(measured, "mean_corruption_error")
    assert mean.value is not None
    assert mean.low is not None
    assert mean.high is not None
    assert mean.value == pytest.approx(1 - np.mean(values))
    assert mean.low < mean.value < mean.high
    assert one(measured, "relative_mean_corruption_error").value == pytest.approx(
        mean.value
    )  # clean: no error


def test_errors_add_up(make_subject: Any, run_check: Any) -> None:
    """Corruption errors average to their kind's and to the mean; what is wrong anyway is not corruption's."""
    check = Corruption()
    config = CorruptionConfig(corruptions=("noise", "brightness", "gaussian_blur"), severities=(2, 5))
    subject = make_subject(FirstPixel(), images(0.55, 400, wrong=40))
    measured = check.summarise(run_check(check, subject, config), subject, config)
    names = ["gaussian_noise", "shot_noise", "impulse_noise", "brightness", "gaussian_blur"]
    errors = {}
    for name in names:
        cells = [
            one(measured, "corruption_accuracy", corruption=name, severity=s).value or 0.0 for s in (2, 5)
        ]
        errors[name] = 1 - sum(cells) / 2
        assert one(measured, "corruption_error", corruption=name).value == pytest.approx(errors[name])
    assert errors["brightness"] == errors["gaussian_blur"] == pytest.approx(0.1)
    noise = np.mean([errors[name] for name in names[:3]])
    assert one(measured, "category_corruption_error", category="noise").value == pytest.approx(noise)
    assert one(measured, "category_corruption_error", category="weather").value == pytest.approx(0.1)
    assert one(measured, "category_corruption_error", category="extra").value == pytest.approx(0.1)
    assert not [m for m in measured if m.where.get("category") in ("blur", "digital")]
    mean = float(np.mean(list(errors.values())))
    assert one(measured, "mean_corruption_error").value == pytest.approx(mean)
    relative = one(measured, "relative_mean_corruption_error")
    assert relative.value == pytest.approx(mean - 0.1)
    assert relative.low is not None
    assert relative.high is not None
    assert relative.low < mean - 0.1 < relative.high


def test_intervals_cover_the_mean_over_examples(make_subject: Any, run_check: Any) -> None:
    """The spread of errors over examples is what the interval shows, not that over severities."""
    check, config = Corruption(), CorruptionConfig(corruptions=("gaussian_noise",), severities=(1, 2))
    subject = make_subject(FirstPixel(), images(0.52, 900))
    ledger = run_check(check, subject, config)
    mean = one(check.summarise(ledger, subject, config), "mean_corruption_error")
    columns = [f"corruption.gaussian_noise-{severity}.correct" for severity in (1, 2)]
    error_N = 1 - ledger.scan(*columns).select(columns).collect().to_numpy().mean(axis=1)
    half = 1.96 * error_N.std(ddof=1) / 30
    assert mean.low == pytest.approx(error_N.mean() - half, abs=0.15 * half)
    assert mean.high == pytest.approx(error_N.mean() + half, abs=0.15 * half)


def test_blur_leaves_a_flat_image_alone(make_subject: Any, run_check: Any) -> None:
    check, config = (
        Corruption(),
        CorruptionConfig(corruptions=("gaussian_blur",), severities=(1, 5), examples=30),
    )
    subject = make_subject(FirstPixel(), images(0.6, 40))
    ledger = run_check(check, subject, config)
    measured = check.summarise(ledger, subject, config)
    assert {m.metric: m.value for m in measured} == {
        "mean_corruption_error": 0,
        "relative_mean_corruption_error": 0,
        "category_corruption_error": 0,
        "corruption_error": 0,
        "corruption_accuracy": 1,
    }
    curve = check.evidence(ledger, subject, config)["curve"]
    assert curve["severity"].to_list() == [1, 5]
    assert curve["clean_accuracy"].to_list() == [1, 1]
    assert curve["category"].to_list() == ["extra", "extra"]
    assert {"corruption", "accuracy", "low", "high"} < set(curve.columns)
    assert ledger.scan("corruption.gaussian_blur-1.correct").collect().height == 30


def test_the_box_of_the_data_is_kept(make_subject: Any, run_check: Any) -> None:
    """Images in [−1, 1] are as bright as those in [0, 1] of half the height, and are corrupted alike."""

    class Middle(FirstPixel):
        middle = 0.0

    check, config = Corruption(), CorruptionConfig(corruptions=("gaussian_noise", "fog"), severities=(3,))
    unit = make_subject(FirstPixel(), images(0.55, 300))
    wide = make_subject(Middle(), images(0.1, 300, low=-1.0, high=1.0))
    for name in config.names:
        column = f"corruption.{name}-3.correct"
        told = [run_check(check, s, config).scan(column).collect()[column].to_list() for s in (unit, wide)]
        assert sum(a == b for a, b in zip(*told, strict=True)) >= 299  # rounding may tip one


def test_batches_do_not_matter(make_subject: Any, run_check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    check, config = Corruption(), CorruptionConfig(corruptions=("shot_noise", "snow"), severities=(4,))
    subject = make_subject(FirstPixel(), images(0.52, 60))
    columns = [f"corruption.{name}-4.correct" for name in config.names]
    told = []
    for size in (256, 7):
        monkeypatch.setattr("raiaudit.audit.robustness.corruption._BATCH", size)
        told.append(run_check(check, subject, config).scan(*columns).select(columns).collect())
    assert told[0].equals(told[1])


def test_an_answer_that_is_no_number_is_wrong(make_subject: Any, run_check: Any) -> None:
    class Overflows(FirstPixel):
        def forward(self, inputs: Tensor) -> Tensor:
            logits_BK = super().forward(inputs)
            return torch.where(inputs[:, :1, 0, 0] > 0.99, torch.nan, logits_BK)

    check, config = Corruption(), CorruptionConfig(corruptions=("brightness",), severities=(1, 5))
    subject = make_subject(Overflows(), images(0.75, 20))
    measured = check.summarise(run_check(check, subject, config), subject, config)
    assert one(measured, "corruption_accuracy", corruption="brightness", severity=1).value == 1
    assert one(measured, "corruption_accuracy", corruption="brightness", severity=5).value == 0


def test_what_is_not_answered_is_left_out(make_subject: Any, run_check: Any) -> None:
    class Silent(FirstPixel):
        """Has no answer for the first row of every call."""

        def forward(self, inputs: Tensor) -> Tensor:
            logits_BK = super().forward(inputs)
            logits_BK[0] = torch.nan
            raise QueryFailedError("no answer", rows=(0,), answers=logits_BK)

    check, config = Corruption(), CorruptionConfig(corruptions=("brightness",), severities=(1,))
    subject = make_subject(Silent(), images(0.7, 10))
    ledger = run_check(check, subject, config)
    assert (
        ledger.scan("corruption.brightness-1.correct")
        .collect()["corruption.brightness-1.correct"]
        .null_count()
        == 1
    )
    measured = check.summarise(ledger, subject, config)
    assert {(m.n, m.value) for m in measured if m.metric == "corruption_accuracy"} == {(9, 1.0)}

    alone = make_subject(Silent(), images(0.7, 1))
    nobody = check.summarise(run_check(check, alone, config), alone, config)
    assert all(m.value is None and m.reason for m in nobody)
    assert check.evidence(run_check(check, alone, config), alone, config)["curve"].is_empty()


def test_one_task_a_corruption(make_subject: Any) -> None:
    subject = make_subject(FirstPixel(), images(0.6, 5))
    tasks = Corruption().tasks(subject, CorruptionConfig())
    assert [task.name for task in tasks] == ["clean", *GROUPS["standard"]]
    assert len(tasks) == 16


def test_names_are_those_of_the_catalogue() -> None:
    assert tuple(CORRUPTIONS) == tuple(CATEGORY) == GROUPS["all"]
    assert len(GROUPS["standard"]) == 15
    assert [len(names) for names in CATEGORIES.values()] == [3, 4, 4, 4, 4]


def test_groups_and_names_may_be_mixed() -> None:
    assert chosen(("blur", "glass_blur", "snow")) == (*CATEGORIES["blur"], "snow")
    assert chosen(("standard", "extra")) == GROUPS["all"]
    assert CorruptionConfig().names == GROUPS["standard"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"corruptions": ["gausian_blur"]}, "did you mean 'gaussian_blur'"),
        ({"corruptions": ["wether"]}, "did you mean 'weather'"),
        ({"corruptions": []}, "at least 1"),
        ({"severities": [0]}, "from 1"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        CorruptionConfig.model_validate(options)
