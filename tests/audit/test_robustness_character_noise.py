"""Misspelling on a reader that knows one word, so that its errors can be counted beforehand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from raiaudit.attacks.corruptions.characters import KINDS, words_of
from raiaudit.attacks.spaces import TokenSpace
from raiaudit.audit.robustness.character_noise import CharacterNoise, CharacterNoiseConfig, Noise
from raiaudit.errors import DataError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import Dataset, Inputs, Split

LONG = ["wonderful", "picture", "about", "people", "walking", "around", "their", "house", "again", "today"]
SHORT = ["a", "of", "the", "sea", "and"]
WRITTEN: tuple[Noise, ...] = ("swap", "middle_random", "fully_random", "keyboard")


class Knows(Classifier):
    """Says 1 where the word "wonderful" stands as it is written."""

    architecture = "planted"
    modality = "text"

    def encode(self, inputs: Inputs) -> Tensor:
        known = [any(word.group() == "wonderful" for word in words_of(text)) for text in inputs]
        return torch.tensor(known, dtype=torch.float32)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.stack([torch.full_like(inputs, 0.5), inputs], dim=1)


def texts(words: list[str], n: int) -> Dataset:
    """The words in an order of their own in each text, all labelled 1."""
    rng = np.random.default_rng(0)
    lines = [" ".join(rng.permutation(words)) + "." for _ in range(n)]
    split = Split(pl.Series([f"t{row:04d}" for row in range(n)]), lines, np.ones(n, dtype=np.int64))
    return Dataset("planted", "text", ("no", "yes"), TokenSpace(100, 32), {"test": split}, digest="planted")


def by_label(measured: list[Any]) -> dict[str, Any]:
    return {m.label(): m for m in measured}


def test_accuracy_falls_as_the_share_of_words_says(make_subject: Any, run_check: Any) -> None:
    """Each of ten words is misspelt with probability equal to the share, and "wonderful" decides."""
    check, config = CharacterNoise(), CharacterNoiseConfig(kinds=WRITTEN)
    subject = make_subject(Knows(), texts(LONG, 900))
    ledger = run_check(check, subject, config)
    found = by_label(check.summarise(ledger, subject, config))
    assert found["clean_accuracy"].value == 1
    for kind in WRITTEN:
        accuracies = []
        for share in (0.1, 0.2, 0.5, 1.0):
            cell = found[f"noise_accuracy (noise={kind}, share={share:g})"]
            assert cell.value == pytest.approx(1 - share, abs=0.06)  # 3.6 standard errors at one half
            assert cell.low <= cell.value <= cell.high
            assert cell.n == 900
            accuracies.append(cell.value)
        error = found[f"mean_noise_error (noise={kind})"]
        assert error.value == pytest.approx(1 - np.mean(accuracies))
        assert error.low < error.value < error.high
        assert found[f"words_misspelt (noise={kind}, share=1)"].value == 1
    mean = np.mean([found[f"mean_noise_error (noise={kind})"].value for kind in WRITTEN])
    assert found["mean_noise_error"].value == pytest.approx(mean)


def test_what_noise_cannot_reach_is_said(make_subject: Any, run_check: Any) -> None:
    """Five of fifteen words are too short for a swap."""
    check = CharacterNoise()
    config = CharacterNoiseConfig(kinds=("swap", "keyboard"), shares=(0.2, 1.0), examples=30)
    subject = make_subject(Knows(), texts(LONG + SHORT, 40))
    ledger = run_check(check, subject, config)
    found = by_label(check.summarise(ledger, subject, config))
    assert found["words_misspelt (noise=swap, share=1)"].value == pytest.approx(10 / 15)
    assert found["words_misspelt (noise=keyboard, share=1)"].value == 1
    curve = check.evidence(ledger, subject, config)["curve"]
    assert curve["share"].to_list() == [0, 0.2, 1, 0, 0.2, 1]
    assert curve["misspelt"].to_list() == pytest.approx([0, 0.2, 10 / 15, 0, 0.2, 1])
    assert curve["accuracy"].to_list()[0] == 1
    assert curve["accuracy"].to_list()[2] == 0
    assert ledger.scan("character_noise.clean.correct").collect().height == 30


def test_an_example_is_misspelt_alike_wherever_it_stands(make_subject: Any) -> None:
    check, dataset = CharacterNoise(), texts(LONG, 30)
    split = dataset.splits["test"]
    turned = replace(dataset, splits={"test": split.take(np.arange(30)[::-1])})
    for share in (0.2, 0.5):
        config = CharacterNoiseConfig(kinds=("keyboard",), shares=(share,))
        one, other = (
            check.execute(check.tasks(subject, config)[1], subject).sort("example_id")
            for subject in (make_subject(Knows(), dataset), make_subject(Knows(), turned))
        )
        assert one.equals(other)
        column = f"character_noise.keyboard-{share:g}.correct"
        assert 0 < one[column].sum() < 30


def test_once_wrong_stays_wrong_at_a_larger_share(make_subject: Any, run_check: Any) -> None:
    check, config = CharacterNoise(), CharacterNoiseConfig(kinds=WRITTEN)
    ledger = run_check(check, make_subject(Knows(), texts(LONG, 100)), config)
    for kind in WRITTEN:
        columns = [f"character_noise.{kind}-{share:g}.correct" for share in config.shares]
        correct_NC = ledger.scan(*columns).collect().select(columns).to_numpy()
        assert (correct_NC[:, 1:] <= correct_NC[:, :-1]).all()


def test_without_the_list_natural_noise_is_undefined_with_a_reason(
    make_subject: Any, run_check: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    check, config = CharacterNoise(), CharacterNoiseConfig(shares=(0.1, 0.5))
    subject = make_subject(Knows(), texts(LONG, 20))
    for mirror in (None, tmp_path):
        if mirror is None:
            monkeypatch.delenv("RAIAUDIT_DATA", raising=False)
        else:
            monkeypatch.setenv("RAIAUDIT_DATA", str(mirror))
        ledger = run_check(check, subject, config)
        measured = check.summarise(ledger, subject, config)
        natural = [m for m in measured if m.where.get("noise") == "natural"]
        assert [(m.metric, m.where["share"], m.value) for m in natural] == [
            ("noise_accuracy", 0.1, None),
            ("noise_accuracy", 0.5, None),
        ]
        assert all("reference_noise/en.natural" in str(m.reason) for m in natural)
        assert "natural" not in check.evidence(ledger, subject, config)["curve"]["noise"].to_list()
        assert by_label(measured)["mean_noise_error"].value is not None


def test_another_list_is_refused(make_subject: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "reference_noise").mkdir()
    (tmp_path / "reference_noise" / "en.natural").write_text("people poeple\n")
    monkeypatch.setenv("RAIAUDIT_DATA", str(tmp_path))
    with pytest.raises(DataError, match="not the official bytes"):
        CharacterNoise().tasks(make_subject(Knows(), texts(LONG, 5)), CharacterNoiseConfig())


def test_natural_noise_from_the_authors_list(
    make_subject: Any, run_check: Any, monkeypatch: pytest.MonkeyPatch, data_home: Path
) -> None:
    """Of these words the list knows all but one made-up one."""
    monkeypatch.setenv("RAIAUDIT_DATA", str(data_home))
    check = CharacterNoise()
    config = CharacterNoiseConfig(kinds=("natural",), shares=(0.5, 1.0))
    subject = make_subject(Knows(), texts(["wonderful", "people", "their", "zzxqy"], 40))
    found = by_label(check.summarise(run_check(check, subject, config), subject, config))
    assert found["words_misspelt (noise=natural, share=1)"].value == pytest.approx(0.75)
    assert found["noise_accuracy (noise=natural, share=1)"].value == 0


def test_kinds_are_those_of_the_catalogue() -> None:
    assert CharacterNoiseConfig().kinds == tuple(KINDS)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"kinds": ["swop"]}, "swap"), ({"shares": [0]}, "above 0"), ({"shares": [1.1]}, "at most 1")],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        CharacterNoiseConfig.model_validate(options)
