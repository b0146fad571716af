"""Seeds, paired comparison and ablation: tiny digits models, planted outcomes and closed forms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score

from raiaudit.attacks.spaces import ImageBox
from raiaudit.audit.ablation import ablate
from raiaudit.audit.pairing import compare, seed_versions, shared_versions
from raiaudit.audit.replication import Replicate, Replication, evaluate, replicate, reread
from raiaudit.audit.spec import RunOptions
from raiaudit.audit.subject import Subject
from raiaudit.errors import UnknownNameError, UsageError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data import load_dataset
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.recipe import Adversary, Recipe
from raiaudit.models.registry import Registry

RECIPE = Recipe(
    architecture="mlp",
    options={"hidden": 16},
    epochs=3,
    train_limit=400,
    learning_rate=0.02,
    batch_size=32,
    gradient_clip=1e9,  # never reached: a part that does nothing
    weight_decay=40,  # shrinks the weights to a fifth at each step: a part that ruins the model
    schedule="constant",
)
SEEDS = (3, 4)
CPU = RunOptions(seed=3, device="cpu")
Events = list[dict[str, Any]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def registry(home: Path) -> Registry:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return Registry.open(home)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def train(registry: Registry, home: Path, digits: Dataset) -> Callable[..., tuple[Replication, Events]]:
    """(name, recipe) → the replication and what was told."""

    def run(name: str, recipe: Recipe, seeds: tuple[int, ...] = SEEDS) -> tuple[Replication, Events]:
        events: Events = []
        made = replicate(
            registry, name, recipe, digits, seeds=seeds, options=CPU, home=home, listener=events.append
        )
        return made, events

    return run


Train = Callable[..., tuple[Replication, Events]]


def trained(events: Events) -> int:
    return sum(event["event"] == "trained" for event in events)


def planted(name: str, outcomes: Any, *, seeds: tuple[int, ...] = (), digest: str = "d") -> Replication:
    """A replication with these outcomes_SN."""
    rows = np.asarray(outcomes, bool)
    replicates = [
        Replicate(seed, seed + 1, {"accuracy": row}, None)
        for seed, row in zip(seeds or range(len(rows)), rows, strict=True)
    ]
    return Replication(name, digest, tuple(replicates))


# Seeds


def test_each_seed_is_a_version_and_what_is_measured_is_the_models_own(
    train: Train, registry: Registry, digits: Dataset
) -> None:
    plain = RECIPE.model_copy(update={"weight_decay": 0.0})
    made, events = train("seeds", plain)
    assert trained(events) == 2
    assert made.seeds == SEEDS
    test = digits.splits["test"]
    for found in made.replicates:
        version = registry.load(f"seeds/{found.version}")
        assert version.record.seed == found.seed
        with torch.no_grad():
            answers = version.classifier(version.classifier.encode(test.inputs)).argmax(1).numpy()
        assert (found.outcomes["accuracy"] == (answers == test.labels)).all()
    spread = made.spread("accuracy")
    values = [found.value("accuracy") for found in made.replicates]
    assert spread.mean == pytest.approx(np.mean(values))
    assert registry.find("seeds@candidate").version == made.replicates[0].version

    again, events = train("seeds", plain)
    assert trained(events) == 0
    assert [found.version for found in again.replicates] == [found.version for found in made.replicates]
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert [note.split(",")[0] for note in notes] == ["seeds: seed 3 (1 of 2)", "seeds: seed 4 (2 of 2)"]

    more, events = train("seeds", plain, (3, 4, 5))
    assert trained(events) == 1
    assert registry.find("seeds@candidate").version == more.replicates[0].version

    # Another recipe under the same name is not one of its seeds.
    train("seeds", plain.model_copy(update={"epochs": 2}), (9,))
    versions = seed_versions(registry, f"seeds/{more.replicates[0].version}")
    assert {seed: model.version for seed, model in versions.items()} == {
        found.seed: found.version for found in more.replicates
    }
    read = reread(registry, versions, digits, options=CPU, listener=events.append)
    assert [found.value("accuracy") for found in read.replicates] == [
        found.value("accuracy") for found in more.replicates
    ]


def test_the_auc_of_two_classes_is_scikit_learns(make_echo: Callable[..., Subject]) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=60)
    logits = rng.normal(size=(60, 2)) + np.eye(2)[labels]
    subject = make_echo(logits, labels, classes=("no", "yes"))
    found = evaluate(subject.version, subject.dataset, options=CPU)
    assert found.value("auc") == pytest.approx(roc_auc_score(labels, logits[:, 1] - logits[:, 0]))
    alone = evaluate(subject.version, subject.dataset, options=RunOptions(device="cpu", limit=1))
    assert alone.auc is None  # one class among the examples


def test_the_robust_accuracy_of_a_linear_model_is_its_closed_form(
    make_subject: Callable[..., Subject],
) -> None:
    """Right within L∞ eps if and only if the margin is above eps · ‖w₁ − w₀‖₁."""
    rng = np.random.default_rng(1)
    x = rng.uniform(0.3, 0.7, size=(80, 1, 2, 2)).astype(np.float32)
    weights = torch.tensor([[0.0, 0, 0, 0], [1.0, -2.0, 0.5, 0.3]])
    gap = (x.reshape(80, 4) - 0.5) @ weights[1].numpy()
    labels = (gap > 0).astype(np.int64)

    class Linear(Classifier):
        architecture = "planted"
        modality = "image"
        classes = 2

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return (inputs.flatten(1) - 0.5) @ weights.T

    ids = pl.Series("id", [f"x/{i}" for i in range(80)])
    data = Dataset(
        "planes", "image", ("0", "1"), ImageBox((1, 2, 2)), {"test": Split(ids, x, labels)}, digest="9"
    )
    subject = make_subject(Linear(), data, seed=0)
    found = evaluate(subject.version, data, options=CPU, adversary=Adversary(eps=0.05))
    expected = np.abs(gap) > 0.05 * 3.8
    assert 0.1 < expected.mean() < 0.9
    assert (found.outcomes["robust_accuracy"] == expected).all()
    with pytest.raises(UsageError, match="other data"):
        evaluate(make_subject(Linear(), data, data_digest="8").version, data, options=CPU)


# Pairs


def test_a_comparison_pairs_seeds_and_examples() -> None:
    rng = np.random.default_rng(2)
    a_SN, b_SN = rng.random((3, 50)) < 0.9, rng.random((3, 50)) < 0.7
    ours = planted("a", a_SN, seeds=(5, 6, 7))
    theirs = planted("b", b_SN[[2, 0, 1]], seeds=(7, 5, 6))
    (found,) = compare(ours, theirs)
    expected = stats.ttest_rel(a_SN.mean(1), b_SN.mean(1))
    assert found.between_seeds.p == pytest.approx(expected.pvalue)
    assert found.between_seeds.low == pytest.approx(expected.confidence_interval(0.95).low)
    for seed, test in enumerate(found.by_seed):
        wins, losses = int((a_SN[seed] & ~b_SN[seed]).sum()), int((b_SN[seed] & ~a_SN[seed]).sum())
        assert test.p == pytest.approx(stats.binomtest(wins, wins + losses).pvalue)
    assert found.between_examples is not None
    assert found.between_examples.difference == pytest.approx(a_SN.mean() - b_SN.mean())
    assert found.a.mean == pytest.approx(a_SN.mean())


def test_only_shared_seeds_are_compared_and_other_data_are_refused() -> None:
    right, wrong = np.ones((2, 10)), np.zeros((2, 10))
    (found,) = compare(planted("a", right, seeds=(1, 2)), planted("b", wrong, seeds=(2, 3)))
    assert found.seeds == (2,)
    assert found.between_seeds == (1.0, None, None, None)
    with pytest.raises(UsageError, match="share no seed") as caught:
        compare(planted("a", right, seeds=(1, 2)), planted("b", wrong, seeds=(3, 4)))
    assert "--seeds" in str(caught.value)
    with pytest.raises(UsageError, match="different data"):
        compare(planted("a", right), planted("b", right, digest="other"))


def test_two_models_share_the_seeds_both_have(train: Train, registry: Registry) -> None:
    plain = RECIPE.model_copy(update={"weight_decay": 0.0, "epochs": 1})
    train("one", plain, (3, 4))
    train("other", plain.model_copy(update={"train_limit": 300}), (4, 5))
    found = shared_versions(registry, "one", "other@candidate")
    assert found.data_name == "digits"
    assert {seed: model.version for seed, model in found.a.items()} == {4: 2}
    assert {seed: model.version for seed, model in found.b.items()} == {4: 1}
    assert found.adversary is None


# Ablations


def test_an_ablation_finds_the_part_that_ruins_and_the_part_that_does_nothing(
    registry: Registry, home: Path, digits: Dataset
) -> None:
    events: Events = []

    def run() -> Any:
        return ablate(
            registry,
            "parts",
            RECIPE,
            digits,
            seeds=SEEDS,
            options=CPU,
            home=home,
            listener=events.append,
        )

    found = run()
    nothing, ruin = found.variants
    assert (nothing.part, nothing.setting) == ("gradient_clip", 1e9)
    change = nothing.changes["accuracy"]
    assert change.between_seeds == (0.0, None, None, None)  # the same weights, bit for bit
    assert change.between_examples.p == 1.0
    assert nothing.corrected["accuracy"] is None
    assert ruin.part == "weight_decay"
    change = ruin.changes["accuracy"]
    assert change.a.mean > 0.5 > 0.3 > change.b.mean
    assert change.between_seeds.low > 0
    assert ruin.corrected["accuracy"] == pytest.approx(2 * change.between_seeds.p)
    assert registry.find("parts.without-weight_decay/1").aliases == ()
    assert registry.record(registry.find("parts.without-weight_decay")).recipe == RECIPE.model_copy(
        update={"weight_decay": 0.0}
    )
    assert trained(events) == 6
    run()
    assert trained(events) == 6
    with pytest.raises(UnknownNameError, match="mixup"):
        ablate(
            registry,
            "parts",
            RECIPE,
            digits,
            parts=["mixup"],
            seeds=(3,),
            options=CPU,
            home=home,
            listener=events.append,
        )
