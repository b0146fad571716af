"""Shadow ensembles in the audit: who learns from what, what a row says, and what a killed audit keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch import Tensor

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema
from raiaudit.audit.privacy.inference.membership import Membership, MembershipConfig, membership_scores
from raiaudit.audit.privacy.inference.pool import pool_of
from raiaudit.audit.privacy.inference.signals import mirrors, outputs_of, phi_of
from raiaudit.errors import CapabilityError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.recipe import Recipe
from raiaudit.models.training import train
from raiaudit.models.training.ensemble import Engine, EnsembleProgress, TrainedEnsemble, train_ensemble

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.audit.subject import Subject

RECIPE = Recipe(architecture="mlp", options={"hidden": 16}, epochs=4, batch_size=32, learning_rate=5e-3)


def noise(validation: int = 60) -> Dataset:
    """Ten normal columns and labels that are coin flips."""
    rng = np.random.default_rng(0)
    splits = {}
    for name, count in (("train", 100), ("validation", validation), ("test", 60)):
        splits[name] = Split(
            pl.Series([f"{name}{row:03d}" for row in range(count)]),
            rng.normal(size=(count, 10)).astype(np.float32),
            rng.integers(0, 2, size=count),
        )
    schema = TableSchema(tuple(Column(f"c{i}", "real", -4, 4) for i in range(10)))
    return Dataset("noise", "tabular", ("no", "yes"), schema, splits, digest=f"noise{validation}")


@pytest.fixture(scope="module")
def trained() -> Any:
    return train(RECIPE, noise(), seed=1, device="cpu")


@pytest.fixture
def subject(trained: Any, make_subject: Any) -> Subject:
    made: Subject = make_subject(trained.classifier, noise(), **trained.record.model_dump())
    return made


def config(**options: Any) -> MembershipConfig:
    return MembershipConfig(**{"shadows": 4, "pool": 40, "population": 20, **options})


def test_tasks_are_ensembles_of_at_most_sixteen_whatever_the_machine(subject: Subject) -> None:
    names = [task.name for task in Membership().tasks(subject, config(shadows=40))]
    assert names == ["target", "shadows-000-015", "shadows-016-031", "shadows-032-039"]


def test_the_engines_agree_on_phi_and_the_rows_name_the_engine(subject: Subject, run_check: Any) -> None:
    phi: dict[str, Any] = {}
    for mode in ("serial", "packed"):
        ledger = run_check(Membership(), subject, config(ensemble=mode))
        rows = ledger.scan(*[f"membership.shadow.{k:02d}.phi" for k in range(4)]).collect()
        phi[mode] = rows.drop("example_id").to_numpy()
        engines = ledger.scan("membership.shadow.03.engine").collect()["membership.shadow.03.engine"]
        assert set(engines) == {"serial" if mode == "serial" else "packed 4"}
    assert phi["serial"].shape == (100, 4)
    np.testing.assert_allclose(phi["packed"], phi["serial"], atol=1e-3)
    assert np.abs(phi["serial"][:, 0] - phi["serial"][:, 1]).max() > 0.01


def test_the_population_is_in_nobodys_training_and_in_no_score(subject: Subject, run_check: Any) -> None:
    ledger = run_check(Membership(), subject, config())
    keeps = [f"membership.shadow.{k:02d}.keep" for k in range(4)]
    columns = ["membership.member", "membership.population", "membership.phi", *keeps]
    rows = ledger.scan(*columns).collect()
    population = rows.filter("membership.population")
    assert population.height == 20
    assert population["example_id"].str.starts_with("validation").all()
    assert population["membership.member"].null_count() == 20
    assert population["membership.phi"].null_count() == 0
    assert not population.select(pl.any_horizontal(keeps).any()).item()
    pool = rows.filter(~pl.col("membership.population"))
    assert pool["membership.member"].value_counts()["count"].to_list() == [40, 40]
    assert (pool.select(pl.sum_horizontal(keeps)).to_series() == 2).all()
    assert not set(membership_scores(ledger)["example_id"]) & set(population["example_id"])


def test_pool_and_population_share_no_point_and_leave_half_of_a_small_validation_split(
    subject: Subject,
) -> None:
    drawn = pool_of(subject, 500, 500)
    assert len(drawn.population) == 30
    assert not set(drawn.population.ids) & {*drawn.points.ids, *drawn.rest.ids}
    assert len(drawn.points) == 2 * (30 + 60)
    assert len(pool_of(subject, 40, 0).population) == 0


class Sided(Classifier):
    """The logits of B×1×1×2 images are their two pixels: a mirror image swaps the classes."""

    architecture = "sided"
    modality = "image"

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1)


def sided(logits_N2: Any, labels: Any) -> Split:
    inputs = np.asarray(logits_N2, np.float32).reshape(-1, 1, 1, 2)
    return Split(pl.Series([str(row) for row in range(len(inputs))]), inputs, np.asarray(labels))


def test_phi_is_the_mean_over_the_image_and_its_mirror() -> None:
    """Of two classes φ = z_y − z_other, which the mirror image negates."""
    points = sided([[3.0, 1.0], [0.0, 5.0]], [0, 0])
    np.testing.assert_allclose(phi_of(Sided(), points, "cpu", mirror=False), [2, -5])
    np.testing.assert_allclose(phi_of(Sided(), points, "cpu", mirror=True), [0, 0], atol=1e-12)
    outputs = outputs_of(Sided(), points, "cpu", mirror=True)
    np.testing.assert_allclose(outputs.phi_N, [0, 0], atol=1e-12)
    np.testing.assert_allclose(outputs.loss_N, np.log1p(np.exp([-2, 5])))  # of the image as it is


def test_mirrors_are_asked_about_where_training_saw_them(make_subject: Any) -> None:
    images = Dataset("i", "image", ("a", "b"), ImageBox((1, 1, 2)), {}, digest="0")
    flipped, shifted = (
        make_subject(None, data, recipe=RECIPE.model_copy(update={"augment": how}))
        for data, how in ((images, "crop-flip"), (images, "shift"))
    )
    assert mirrors(flipped)
    assert not mirrors(shifted)
    assert not mirrors(make_subject(None, noise(), recipe=flipped.record.recipe))


class Echo(Classifier):
    """Rows are logits."""

    architecture = "echo"
    modality = "tabular"

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs


def test_entropies_and_confidence_are_their_definitions() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=(50, 5)).astype(np.float32)
    y = rng.integers(0, 5, 50)
    found = outputs_of(Echo(), Split(pl.Series([str(i) for i in range(50)]), logits, y), "cpu", mirror=False)
    p = softmax(logits.astype(np.float64), axis=1)
    own = p[np.arange(50), y]
    others = np.where(np.eye(5, dtype=bool)[y], 0, p * np.log1p(-p))
    top = p.max(1)
    np.testing.assert_allclose(found.uncertainty.confidence_N, np.log(top / (1 - top)))
    np.testing.assert_allclose(
        found.uncertainty.entropy_N, -(p * log_softmax(logits.astype(np.float64), axis=1)).sum(1)
    )
    np.testing.assert_allclose(found.uncertainty.modified_entropy_N, -(1 - own) * np.log(own) - others.sum(1))
    np.testing.assert_allclose(found.loss_N, -np.log(own))


def test_signals_stay_finite_and_ordered_where_a_probability_rounds_to_one() -> None:
    """Two classes, logit gap g: the modified entropy is 2·(1 − p)·log(1/p), 1 − p about e^−g; wrong: 2·g."""
    gap = np.array([40.0, 60.0, 80.0])
    logits = np.stack([gap, np.zeros(3)], axis=1).astype(np.float32)
    split = Split(pl.Series(["0", "1", "2"]), logits, np.zeros(3, dtype=np.int64))
    found = outputs_of(Echo(), split, "cpu", mirror=False)
    np.testing.assert_allclose(
        found.uncertainty.modified_entropy_N, 2 * np.exp(-gap) * np.exp(-gap), rtol=1e-6
    )
    wrong = outputs_of(Echo(), Split(split.ids, logits, np.ones(3, dtype=np.int64)), "cpu", mirror=False)
    np.testing.assert_allclose(wrong.uncertainty.modified_entropy_N, 2 * gap, rtol=1e-6)


class _KilledError(Exception):
    pass


def test_a_killed_audit_trains_no_finished_shadow_again(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject.cache = tmp_path
    task = Membership().tasks(subject, config(ensemble="serial"))[1]
    whole = Membership().execute(task, subject)
    assert not list(tmp_path.rglob("*.safetensors"))  # nothing is left behind

    def killed(*args: Any, **more: Any) -> TrainedEnsemble:
        def stop(progress: EnsembleProgress) -> None:
            if progress.done == 3:
                raise _KilledError

        return train_ensemble(*args, **{**more, "progress": stop})

    with monkeypatch.context() as patched:
        patched.setattr("raiaudit.models.training.ensemble.train_ensemble", killed)
        with pytest.raises(_KilledError):
            Membership().execute(task, subject)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3
    calls: list[int] = []

    def counted(*args: Any, **more: Any) -> Any:
        calls.append(1)
        return train(*args, **more)

    monkeypatch.setattr("raiaudit.models.training.ensemble.members_on_disk.train", counted)
    assert Membership().execute(task, subject).equals(whole)
    assert len(calls) == 1


def test_the_choice_of_engine_is_told(subject: Subject) -> None:
    lines: list[str] = []
    subject.note = lines.append
    Membership().execute(Membership().tasks(subject, config(ensemble="packed"))[1], subject)
    assert "shadows 0–3: packed 4 (a member's step: serial" in lines[-1]
    assert str(Engine(2, 8)) == "2 processes, packed 8"


@pytest.mark.parametrize("count", [0, 2])
def test_too_few_shadows_are_not_run_with_the_number_that_would_do(subject: Subject, count: int) -> None:
    with pytest.raises(CapabilityError, match="shadows: 4 or more"):
        Membership().tasks(subject, config(attack="lira", shadows=count))


def test_a_side_without_examples_is_not_run(make_subject: Any) -> None:
    dataset = noise()
    nobody = {name: dataset.splits[name].take(slice(0, 1)) for name in ("validation", "test")}
    alone = Dataset(
        "noise",
        "tabular",
        dataset.classes,
        dataset.space,
        {**nobody, "train": dataset.splits["train"], "test": dataset.splits["test"].take(slice(0, 0))},
        digest="noise",
    )
    with pytest.raises(CapabilityError, match="1 non-members, at least 2"):
        Membership().tasks(make_subject(None, alone, recipe=RECIPE), config())


def test_torch_is_left_as_it_was(subject: Subject) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Membership().execute(Membership().tasks(subject, config(ensemble="packed"))[1], subject)
    assert torch.equal(torch.rand(3), expected)
