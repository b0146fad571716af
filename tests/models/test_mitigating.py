"""What is done about groups before, in and after training: does it work on new people, does it stay?"""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema, TokenSpace
from raiaudit.errors import RaiauditError, UnknownNameError, UsageError
from raiaudit.models.architectures import build
from raiaudit.models.architectures.mitigated import Decorrelated, ThresholdsByGroup
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.recipe import Method, Mitigation, Recipe
from raiaudit.models.training.ensemble import Member, train_ensemble
from raiaudit.models.training.lagrangian import LagrangianStep, multipliers_of
from raiaudit.models.training.loop import TrainingProgress
from raiaudit.models.training.train import train
from raiaudit.models.version import ModelVersion
from raiaudit.models.weights import load_weights, save_weights

LEVELS = ("f", "m")
SCHEMA = TableSchema(
    (
        Column("merit", "real", -6.0, 6.0),
        Column("hint", "real", -6.0, 6.0),
        Column("sex", "category", categories=LEVELS, mutable=False),
    )
)
SMALL: dict[str, Any] = {
    "architecture": "mlp",
    "options": {"hidden": 16, "depth": 1},
    "epochs": 6,
    "batch_size": 64,
    "learning_rate": 1e-2,
}


def people(n: int, seed: int) -> Split:
    """Men are chosen more often at equal merit, and the hint tells sex as well as the column does."""
    rng = np.random.default_rng(seed)
    sex_N = rng.integers(0, 2, n)
    merit_N = rng.normal(size=n)
    y_N = (merit_N + 1.2 * (2 * sex_N - 1) + 0.5 * rng.normal(size=n) > 0).astype(np.int64)
    hint_N = 2.0 * sex_N - 1 + 0.5 * rng.normal(size=n)
    rows_NW = np.column_stack([merit_N, hint_N, np.eye(2)[sex_N]]).astype(np.float32)
    groups = pl.DataFrame({"sex": np.array(LEVELS)[sex_N]})
    return Split(pl.Series(map(str, range(n))), rows_NW, y_N, groups)


@cache
def biased() -> Dataset:
    splits = {"train": people(2000, 0), "validation": people(4000, 1), "test": people(4000, 2)}
    return Dataset("people", "tabular", ("no", "yes"), SCHEMA, splits, "0" * 64, ("sex",))


def recipe(method: Method | None, fairness: dict[str, Any] | None = None, **settings: Any) -> Recipe:
    if method is None:
        return Recipe(**{**SMALL, **settings})
    mitigation = Mitigation(method=method, attribute="sex", **(fairness or {}))
    return Recipe(kind="fair", fairness=mitigation, **{**SMALL, **settings})


def answers(version: ModelVersion, split: Split) -> NDArray[np.int64]:
    with torch.no_grad():
        said: NDArray[np.int64] = version.classifier(torch.from_numpy(split.inputs)).argmax(1).numpy()
    return said


def gaps(said_N: NDArray[np.int64], split: Split) -> dict[str, float]:
    is_m_N = (split.groups["sex"] == "m").to_numpy()

    def apart(condition_N: NDArray[np.bool_]) -> float:
        return abs(float(said_N[is_m_N & condition_N].mean() - said_N[~is_m_N & condition_N].mean()))

    by_class = [apart(split.labels == y) for y in (0, 1)]
    return {
        "demographic_parity": apart(np.ones(len(said_N), dtype=bool)),
        "equal_opportunity": by_class[1],
        "equalized_odds": max(by_class),
    }


@cache
def plain() -> dict[str, float]:
    return gaps(
        answers(train(recipe(None), biased(), seed=3), biased().splits["test"]), biased().splits["test"]
    )


@pytest.mark.parametrize(
    ("method", "criterion", "fairness"),
    [
        ("group_thresholds", "demographic_parity", {}),
        ("group_thresholds", "equal_opportunity", {}),
        ("group_thresholds", "equalized_odds", {"bound": 0.03}),
        ("lagrangian", "demographic_parity", {"strength": 4.0, "weights_rate": 0.1}),
        ("lagrangian", "equal_opportunity", {"strength": 4.0, "weights_rate": 0.1}),
        ("lagrangian", "equalized_odds", {"strength": 4.0, "weights_rate": 0.1}),
        ("correlation_remover", "demographic_parity", {}),
    ],
)
def test_a_planted_bias_shrinks_to_a_third_on_people_never_seen(
    method: Method, criterion: str, fairness: dict[str, Any]
) -> None:
    test = biased().splits["test"]
    settings = {} if method == "correlation_remover" else {"criterion": criterion}
    version = train(recipe(method, {**settings, **fairness}), biased(), seed=3)
    said_N = answers(version, test)
    assert plain()[criterion] > 0.15
    assert gaps(said_N, test)[criterion] < plain()[criterion] / 3
    assert (said_N == test.labels).mean() > 0.6


def test_one_threshold_for_all_narrows_the_gap_within_its_budget() -> None:
    data, test = biased(), biased().splits["test"]
    before = train(recipe(None), data, seed=3)
    after = train(recipe("shared_threshold", {"budget": 0.1}), data, seed=3)
    lost = before.record.metrics["validation_accuracy"] - after.record.metrics["validation_accuracy"]
    assert 0 <= lost <= 0.1 + 1e-9
    assert gaps(answers(after, test), test)["demographic_parity"] < plain()["demographic_parity"] - 0.01
    assert after.classifier.config == before.classifier.config  # in the bias of the last layer, no more


def test_the_offset_of_a_group_is_read_from_the_row_and_has_gradients() -> None:
    data = biased()
    inside, whole = train(recipe(None), data, seed=3), train(recipe("group_thresholds"), data, seed=3)
    assert isinstance(whole.classifier, ThresholdsByGroup)
    x = torch.from_numpy(data.splits["test"].inputs[:64]).requires_grad_()
    moved = whole.classifier(x) - inside.classifier(x)
    assert moved[:, 0].abs().max() == 0
    for slot in range(2):
        here = x[:, 2 + slot] == 1
        offset = whole.classifier.offsets.weight[1, 2 + slot]
        torch.testing.assert_close(moved[here, 1], offset.expand(int(here.sum())), rtol=1e-4, atol=1e-5)
    whole.classifier(x)[:, 1].sum().backward()
    assert x.grad is not None
    assert x.grad[:, 0].abs().min() > 0


def test_no_column_is_correlated_with_the_attribute_any_more() -> None:
    data = biased()
    classifier = train(recipe("correlation_remover", epochs=1), data, seed=0).classifier
    assert isinstance(classifier, Decorrelated)
    split = data.splits["train"]
    with torch.no_grad():
        rows_NW = classifier.removal(torch.from_numpy(split.inputs)).double().numpy()
    is_m_N = (split.groups["sex"] == "m").to_numpy().astype(float)
    for column in range(2):
        assert abs(np.corrcoef(split.inputs[:, 1], is_m_N)[0, 1]) > 0.8
        assert abs(np.corrcoef(rows_NW[:, column], is_m_N)[0, 1]) < 1e-5
    assert rows_NW[:, 2:].std(0).max() < 1e-5  # the attribute's own slots say nothing
    fairlearn = pytest.importorskip("fairlearn.preprocessing")
    theirs = fairlearn.CorrelationRemover(sensitive_feature_ids=[2])
    expected = theirs.fit_transform(split.inputs[:, :3].astype(np.float64))
    np.testing.assert_allclose(rows_NW[:, :2], expected, atol=1e-5)


@pytest.mark.parametrize("method", ["correlation_remover", "group_thresholds", "shared_threshold"])
def test_weights_and_config_bring_the_mitigation_back(method: Method, tmp_path: Path) -> None:
    version = train(recipe(method, epochs=1), biased(), seed=1)
    save_weights(version.classifier, tmp_path / "w.safetensors")
    again = build(version.record.architecture, version.record.config)
    load_weights(again, tmp_path / "w.safetensors")
    x = torch.from_numpy(biased().splits["test"].inputs[:50])
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(x), version.classifier(x), rtol=0, atol=0)


@pytest.mark.parametrize("method", ["correlation_remover", "group_thresholds"])
def test_shadow_models_of_a_mitigated_one_are_mitigated_alike(method: Method, tmp_path: Path) -> None:
    rows = [np.arange(0, 1000), np.arange(500, 1500)]
    members = [Member(own, seed) for seed, own in enumerate(rows)]
    found = train_ensemble(recipe(method, epochs=1), biased(), members, device="cpu", folder=tmp_path)
    again = train_ensemble(recipe(method, epochs=1), biased(), members, device="cpu", folder=tmp_path)
    x = torch.from_numpy(biased().splits["test"].inputs[:50])
    for member, classifier, kept in zip(members, found.classifiers, again.classifiers, strict=True):
        alone = train(
            recipe(method, epochs=1), biased(), seed=member.seed, indices=member.rows_N, device="cpu"
        )
        with torch.no_grad():
            torch.testing.assert_close(classifier(x), alone.classifier(x))
            torch.testing.assert_close(kept(x), classifier(x), rtol=0, atol=0)


class _StopError(Exception):
    pass


@pytest.mark.parametrize(
    "method", ["correlation_remover", "group_thresholds", "shared_threshold", "lagrangian"]
)
def test_a_stopped_run_resumes_to_the_same_weights(method: Method, tmp_path: Path) -> None:
    made = recipe(method, epochs=3, average=0.9)
    whole = train(made, biased(), seed=5).record.weights_digest

    def stop(progress: TrainingProgress) -> None:
        if progress.epoch == 2:
            raise _StopError

    path = tmp_path / "fair.pt"
    with pytest.raises(_StopError):
        train(made, biased(), seed=5, checkpoint=path, progress=stop)
    assert train(made, biased(), seed=5, checkpoint=path).record.weights_digest == whole


def test_multipliers_grow_with_the_violation_and_never_beyond_their_sum() -> None:
    weights = torch.tensor([[[0.0, 1.0], [5.0, -2.0]]])
    found = multipliers_of(weights, 3.0)
    e = np.exp([0.0, 1.0, 5.0, -2.0])
    np.testing.assert_allclose(found.flatten().numpy(), 3 * e / (1 + e.sum()), rtol=1e-6)
    assert float(multipliers_of(weights + 100, 3.0).sum()) == pytest.approx(3.0)


def test_the_constraint_by_hand() -> None:
    split = people(6, 0)
    level_N = np.array([0, 0, 1, 1, 1, 0])
    classifier = build("mlp", {"shape": [4], "classes": 2, "hidden": 4})
    made = recipe("lagrangian", {"strength": 2.0, "weights_rate": 0.5, "bound": 0.1})
    step = LagrangianStep(
        classifier, made, positive=1, level_N=level_N, device=torch.device("cpu"), bf16=False
    )
    from raiaudit.models.training.data import Batch

    x, y = torch.from_numpy(split.inputs), torch.from_numpy(split.labels)
    logits = classifier(x).detach()
    loss = float(step.loss(x, Batch(x, y, torch.arange(6)), 0.0, torch.Generator()).detach())
    said, chance = logits.argmax(1).double().numpy(), logits.softmax(1)[:, 1].double().numpy()
    hard = [said[level_N == g].mean() - said.mean() for g in (0, 1)]
    soft = [chance[level_N == g].mean() - chance.mean() for g in (0, 1)]
    weights = np.array([[0.5 * (gap - 0.1), 0.5 * (-gap - 0.1)] for gap in hard])
    pull = 2 * np.exp(weights) / (1 + np.exp(weights).sum())
    own = float(torch.nn.functional.cross_entropy(logits, y))
    assert loss == pytest.approx(own + sum((pull[g, 0] - pull[g, 1]) * soft[g] for g in (0, 1)), rel=1e-5)


def few(modality: str, classes: tuple[str, ...] = ("no", "yes")) -> Dataset:
    """160 examples of two groups, without the group among the inputs."""
    pairs = list(itertools.product(range(2), range(len(classes)))) * 40
    level_N, y_N = (np.array(column) for column in zip(*pairs, strict=True))
    n, rng = len(pairs), np.random.default_rng(0)
    space: Any = ImageBox((1, 4, 4)) if modality == "image" else TokenSpace(vocabulary=300, max_length=8)
    inputs: Any = rng.integers(0, 256, (n, 1, 4, 4)).astype(np.uint8)
    if modality == "text":
        inputs = [f"word{y} and {g} {i % 7}" for i, (g, y) in enumerate(pairs)]
    groups = pl.DataFrame({"sex": np.array(LEVELS)[level_N]})
    split = Split(pl.Series(map(str, range(n))), inputs, y_N, groups)
    whole: Any = modality
    return Dataset("few", whole, classes, space, {"train": split, "validation": split}, "1" * 64, ("sex",))


@pytest.mark.parametrize("method", ["lagrangian", "shared_threshold"])
@pytest.mark.parametrize(("modality", "architecture"), [("image", "cnn"), ("text", "lstm")])
def test_images_and_texts_of_any_number_of_classes(method: Method, modality: str, architecture: str) -> None:
    fairness = {"positive": "b", "budget": 0.3}
    made = recipe(method, fairness, architecture=architecture, options={}, epochs=1, batch_size=32)
    assert train(made, few(modality, ("a", "b", "c")), seed=0).record.recipe == made


def test_what_does_not_suit_the_data_is_refused_with_a_way_out() -> None:
    made: dict[str, Any] = {"architecture": "cnn", "options": {}, "epochs": 1}
    with pytest.raises(UsageError, match="reads sex from the input") as refused:
        train(recipe("group_thresholds", **made), few("image"), seed=0)
    assert "shared_threshold" in str(refused.value)
    with pytest.raises(UsageError, match="reads sex from the input") as refused:
        train(recipe("correlation_remover", **made), few("image"), seed=0)
    assert "reweighing" in str(refused.value)
    with pytest.raises(UsageError, match="which of 3 classes"):
        train(recipe("lagrangian", **made), few("image", ("a", "b", "c")), seed=0)
    with pytest.raises(UnknownNameError, match="'d'"):
        train(recipe("shared_threshold", {"positive": "d"}, **made), few("image"), seed=0)


def test_groups_too_small_to_fit_a_threshold_are_said_to_be() -> None:
    data = biased()
    small = Dataset(
        "people",
        "tabular",
        data.classes,
        SCHEMA,
        {"train": data.splits["train"], "validation": people(40, 9)},
        "2" * 64,
        ("sex",),
    )
    with pytest.raises(RaiauditError, match="30 validation examples each"):
        train(recipe("group_thresholds", epochs=1), small, seed=0)


def test_recipes_of_before_keep_their_digests() -> None:
    """By hand: the canonical JSON of what does not stand at its default."""
    import hashlib

    old = Recipe(kind="fair", architecture="mlp", fairness=Mitigation(method="reweighing", attribute="sex"))
    text = '{"architecture": "mlp", "fairness": {"attribute": "sex", "method": "reweighing"}, "kind": "fair"}'
    assert old.digest() == hashlib.sha256(text.encode()).hexdigest()
