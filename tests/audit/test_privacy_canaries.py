"""Canaries end to end: an honest trainer is not accused, one with too little noise is; overfitting leaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema, TokenSpace
from raiaudit.audit.gates import Gate, decide
from raiaudit.audit.privacy.epsilon.canaries import CanaryAudit, CanaryConfig
from raiaudit.audit.privacy.epsilon.canary_data import input_canaries
from raiaudit.audit.privacy.epsilon.one_run import power_cap
from raiaudit.errors import CapabilityError
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.recipe import PrivacyBudget, Recipe
from raiaudit.models.training import private as private_training
from raiaudit.models.training import train
from raiaudit.models.training.canaries import GradientCanaries
from raiaudit.models.training.private import PrivateStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject

PRIVATE = Recipe(
    kind="private",
    architecture="mlp",
    options={"hidden": 40},
    epochs=4,
    batch_size=20,
    privacy=PrivacyBudget(epsilon=1, delta=1e-4, gradients="hooks"),
)


def split_of(rows: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], name: str) -> Split:
    return Split(pl.Series([f"{name}{i}" for i in range(len(rows))]), rows, labels)


def blobs() -> Dataset:
    """Images of 4×4 pixels, brighter in the second class."""
    rng = np.random.default_rng(0)
    splits = {}
    for name, n in (("train", 100), ("validation", 20), ("test", 60)):
        labels = rng.integers(0, 2, n)
        pixels = rng.normal(0.35 + 0.3 * labels[:, None], 0.1, (n, 16)).clip(0, 1)
        splits[name] = split_of(pixels.reshape(n, 1, 4, 4).astype(np.float32), labels, name)
    return Dataset("blobs", "image", ("a", "b"), ImageBox((1, 4, 4)), splits, "0" * 64)


def noise() -> Dataset:
    """Ten normal columns and labels that are coin flips: all a model can learn is the rows."""
    rng = np.random.default_rng(0)
    splits = {
        name: split_of(rng.normal(size=(n, 10)).astype(np.float32), rng.integers(0, 2, n), name)
        for name, n in (("train", 200), ("validation", 20), ("test", 120))
    }
    schema = TableSchema(tuple(Column(f"c{i}", "real", -4, 4) for i in range(10)))
    return Dataset("noise", "tabular", ("no", "yes"), schema, splits, digest="noise")


@pytest.fixture(scope="module", autouse=True)
def _known_noise() -> Iterator[None]:
    """σ without the search for it, and ε by one accountant: both have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(private_training, "noise_multiplier", lambda **_: 3.0)
        patch.setattr(private_training, "epsilon_prv", lambda _: (None, ""))
        yield


@pytest.fixture(scope="module")
def private(_known_noise: None) -> tuple[Dataset, Any]:
    dataset = blobs()
    return dataset, train(PRIVATE, dataset, seed=1, device="cpu")


def subject_of(make_subject: Any, dataset: Dataset, version: Any) -> Subject:
    subject: Subject = make_subject(version.classifier, dataset, **version.record.model_dump())
    return subject


def audited(run_check: Any, subject: Subject, config: CanaryConfig) -> list[Measurement]:
    return CanaryAudit().summarise(run_check(CanaryAudit(), subject, config), subject, config)


def one(found: list[Measurement], metric: str, **where: str) -> Measurement:
    (chosen,) = [m for m in found if m.metric == metric and where.items() <= m.where.items()]
    return chosen


def test_an_honest_private_trainer_is_not_accused(
    private: tuple[Dataset, Any], make_subject: Any, run_check: Any
) -> None:
    subject, config = subject_of(make_subject, *private), CanaryConfig(canaries=400)
    assert subject.record.privacy is not None
    ledger = run_check(CanaryAudit(), subject, config)
    found = CanaryAudit().summarise(ledger, subject, config)
    assert {m.where["canaries"] for m in found} == {"mislabelled", "gradient"}
    assert {m.confidence for m in found if m.metric.startswith("epsilon")} == {0.975}
    margin = one(found, "epsilon_margin", canaries="gradient")
    assert margin.value is not None
    assert margin.value >= 0
    assert not margin.doubts
    for kind in ("mislabelled", "gradient"):
        for bound in ("(ε, δ)", "f-DP"):
            lower = one(found, "epsilon_lower_bound", canaries=kind, bound=bound)
            cap = one(found, "epsilon_power_cap", canaries=kind, bound=bound)
            assert lower.value is not None
            assert cap.value is not None
            assert lower.cap == cap.value
            assert lower.value <= min(subject.record.privacy.epsilon_pld, cap.value)
            assert lower.where["delta"] == 1e-4
    assert one(found, "canary_auc", canaries="mislabelled").n == 50  # half of the training rows
    table = CanaryAudit().evidence(ledger, subject, config)["epsilon"]
    assert table.height == 4
    assert (table["low"] <= table["high"]).all()
    assert table["high"].unique().to_list() == [subject.record.privacy.epsilon_pld]
    verdict = decide("privacy.canaries", Gate(metric="epsilon_margin", min=0), found)
    assert verdict.status == "pass"


def test_a_trainer_with_too_little_noise_is_red(
    private: tuple[Dataset, Any], make_subject: Any, run_check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth of the noise that the accountant is told of."""
    honest = PrivateStep.gradients

    def quiet(step: PrivateStep, *given: Any) -> Any:
        sigma = step.sigma
        step.sigma = sigma / 10
        try:
            return honest(step, *given)
        finally:
            step.sigma = sigma

    monkeypatch.setattr(PrivateStep, "gradients", quiet)
    subject = subject_of(make_subject, *private)
    found = audited(run_check, subject, CanaryConfig(kinds=("gradient",), canaries=400))
    margin = one(found, "epsilon_margin")
    assert margin.value is not None
    assert margin.value < 0
    assert "is refuted" in str(margin.reason)
    assert margin.doubts == ("epsilon",)
    assert (one(found, "epsilon_lower_bound", bound="(ε, δ)").value or 0) > 1
    assert decide("privacy.canaries", Gate(metric="epsilon_margin", min=0), found).status == "fail"


def test_a_trainer_that_adds_what_was_left_of_earlier_batches_shows_more(
    private: tuple[Dataset, Any], make_subject: Any, run_check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums that are never cleared: a canary that took part once is seen in every later step."""
    kept: dict[str, Any] = {}
    honest = GradientCanaries.plant

    def leaking(canaries: GradientCanaries, sums: dict[str, Any], **given: Any) -> None:
        clean = {name: total.clone() for name, total in sums.items()}
        honest(canaries, sums, **given)
        for name, total in sums.items():
            kept[name] = kept.get(name, 0) + total - clean[name]
            total.copy_(clean[name] + kept[name])

    monkeypatch.setattr(GradientCanaries, "plant", leaking)
    subject = subject_of(make_subject, *private)
    found = audited(run_check, subject, CanaryConfig(kinds=("gradient",), canaries=400))
    assert (one(found, "epsilon_margin").value or 0) < 0


def test_an_overfitted_model_gives_its_canaries_away(make_subject: Any, run_check: Any) -> None:
    recipe = Recipe(architecture="mlp", options={"hidden": 64}, epochs=30, batch_size=32, learning_rate=5e-3)
    dataset = noise()
    subject = subject_of(make_subject, dataset, train(recipe, dataset, seed=1, device="cpu"))
    config = CanaryConfig(kinds=("mislabelled", "random"), guesses=0.2)
    found = audited(run_check, subject, config)
    assert not [m for m in found if m.metric == "epsilon_margin"]  # nothing was claimed
    for kind in ("mislabelled", "random"):
        assert (one(found, "epsilon_lower_bound", canaries=kind, bound="(ε, δ)").value or 0) > 0
        assert (one(found, "canary_auc", canaries=kind).low or 0) > 0.6
        assert (one(found, "canary_exposure", canaries=kind).low or 0) > 1.44  # chance: log₂ e
    with pytest.raises(CapabilityError, match="gradient canaries"):
        CanaryAudit().tasks(subject, CanaryConfig(kinds=("gradient",)))


def test_too_few_canaries_show_nothing_and_say_how_many_would(
    private: tuple[Dataset, Any], make_subject: Any, run_check: Any
) -> None:
    subject = subject_of(make_subject, *private)
    found = audited(run_check, subject, CanaryConfig(kinds=("gradient",), canaries=20))
    assert audited(run_check, subject, CanaryConfig(kinds=("gradient",), canaries=3, guesses=0.5))
    for metric in ("epsilon_lower_bound", "epsilon_margin"):
        for m in (m for m in found if m.metric == metric):
            assert m.value is None
            assert "at least 26 canaries" in str(m.reason)  # three guesses a side: a tenth of 26, rounded
    verdict = decide("privacy.canaries", Gate(metric="epsilon_margin", min=0), found)
    assert verdict.status == "inconclusive"


def test_a_delta_too_large_for_so_few_guesses_is_told_apart_from_too_few_canaries(
    private: tuple[Dataset, Any], make_subject: Any, run_check: Any
) -> None:
    """At δ = 0.01 a perfect tenth may be chance, of however many canaries; a perfect half may not."""
    dataset, version = private
    claim = version.record.privacy.model_copy(update={"delta": 0.01})
    subject = make_subject(version.classifier, dataset, **version.record.model_dump() | {"privacy": claim})
    ledger = run_check(CanaryAudit(), subject, CanaryConfig(kinds=("gradient",), canaries=60))

    def shown(guesses: float) -> Measurement:
        config = CanaryConfig(kinds=("gradient",), canaries=60, guesses=guesses)
        found = CanaryAudit().summarise(ledger, subject, config)
        return one(found, "epsilon_lower_bound", bound="(ε, δ)")

    assert all(power_cap(M, M // 5, delta=0.01) == 0 for M in (60, 600, 60_000))
    assert shown(0.1).value is None
    assert "no number of canaries would" in str(shown(0.1).reason)
    assert power_cap(60, 60, delta=0.01) > 0
    assert shown(0.5).value is not None


def test_what_no_attack_could_have_refuted_is_not_passed(
    private: tuple[Dataset, Any], make_subject: Any, run_check: Any
) -> None:
    """Six guesses show something, and less than the claim even if all are right."""
    subject = subject_of(make_subject, *private)
    found = audited(run_check, subject, CanaryConfig(kinds=("gradient",), canaries=32))
    assert subject.record.privacy is not None
    cap = one(found, "epsilon_power_cap", bound="f-DP").value
    assert cap is not None
    assert 0 < cap < subject.record.privacy.epsilon_pld
    margin = one(found, "epsilon_margin")
    assert margin.value is None
    assert "a perfect attack shows" in str(margin.reason)
    assert "128 could" in str(margin.reason) or "64 could" in str(margin.reason)
    verdict = decide("privacy.canaries", Gate(metric="epsilon_margin", min=0), found)
    assert verdict.status == "inconclusive"


def test_canaries_are_wrong_unseen_and_keyed_by_the_seed(make_subject: Any) -> None:
    subject = make_subject(None, blobs(), recipe=PRIVATE)
    canaries, again = (input_canaries(subject, "mislabelled", 40) for _ in range(2))
    test = subject.dataset.splits["test"]
    truth = dict(zip(test.ids, test.labels.tolist(), strict=True))
    assert all(
        truth[i] != y for i, y in zip(canaries.points.ids, canaries.points.labels.tolist(), strict=True)
    )
    assert (canaries.included_M == again.included_M).all()
    assert 0 < canaries.included_M.sum() < 40
    random = input_canaries(subject, "random", 40).points.inputs
    assert random.shape == (40, 1, 4, 4)
    assert 0 <= random.min() < 0.1 < 0.9 < random.max() <= 1


def test_random_rows_and_texts_lie_in_their_space(make_subject: Any) -> None:
    schema = TableSchema(
        (
            Column("x", "real", 2, 5),
            Column("n", "integer", 0, 9),
            Column("c", "category", categories=("a", "b", "c")),
        )
    )
    rows = np.tile(np.array([[3, 4, 1, 0, 0]], dtype=np.float32), (80, 1))
    split = split_of(rows, np.zeros(80, dtype=np.int64), "r")
    table = Dataset("t", "tabular", ("a", "b"), schema, {"train": split, "test": split}, "1")
    drawn = input_canaries(make_subject(None, table, recipe=PRIVATE), "random", 40).points.inputs
    assert ((drawn[:, 0] >= 2) & (drawn[:, 0] <= 5)).all()
    assert (drawn[:, 1] == drawn[:, 1].round()).all()
    assert (drawn[:, 2:].sum(1) == 1).all()
    assert drawn[:, 2:].sum(0).min() > 0

    texts = Split(
        pl.Series([str(i) for i in range(20)]), ["good film", "a dull plot"] * 10, np.zeros(20, np.int64)
    )
    reviews = Dataset("t", "text", ("a", "b"), TokenSpace(10, 8), {"train": texts, "test": texts}, "2")
    made = input_canaries(make_subject(None, reviews, recipe=PRIVATE), "random", 10).points.inputs
    assert {word for text in made for word in text.split()} <= {"good", "film", "a", "dull", "plot"}
    assert not set(made) <= {"good film", "a dull plot"}


@pytest.mark.parametrize(
    "given", [{"kinds": []}, {"kinds": ["gradient", "gradient"]}, {"guesses": 0.6}, {"kinds": ["typo"]}]
)
def test_options_that_mean_nothing_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CanaryConfig(**given)
