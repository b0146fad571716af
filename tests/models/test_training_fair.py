"""Fair training: each method lowers what it is there to lower, by its paper's formula, and resumes."""

import itertools
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema, TokenSpace
from raiaudit.errors import UsageError
from raiaudit.models.architectures.mlp import MLP
from raiaudit.models.data.dataset import Dataset, Modality, Split
from raiaudit.models.recipe import Mitigation, Recipe
from raiaudit.models.training import TrainingProgress, train
from raiaudit.models.training.data import Batch
from raiaudit.models.training.debiasing import AdversarialDebiasingStep, away_from
from raiaudit.models.training.fair import GroupDROStep, ReweighingStep, reweighing_weights

Method = Literal["reweighing", "group_dro", "adversarial_debiasing"]
METHODS: tuple[Method, ...] = ("reweighing", "group_dro", "adversarial_debiasing")
CPU = torch.device("cpu")
SCHEMA = TableSchema(tuple(Column(name, "real", -6.0, 6.0) for name in ("merit", "hint")))
SMALL: dict[str, Any] = {
    "architecture": "mlp",
    "options": {"hidden": 16, "depth": 1},
    "epochs": 8,
    "batch_size": 64,
    "learning_rate": 1e-2,
}


def people(n: int, seed: int, agreement: float) -> Split:
    """Merit decides the class, noisily; the hint decides the sex, less noisily; both agree that often."""
    rng = np.random.default_rng(seed)
    y_N = rng.integers(0, 2, n)
    sex_N = np.where(rng.random(n) < agreement, y_N, 1 - y_N)
    x_N2 = np.stack([rng.normal(2.0 * y_N - 1, 1.0), rng.normal(3.0 * sex_N - 1.5, 0.7)], 1)
    groups = pl.DataFrame({"sex": np.where(sex_N == 1, "m", "f")}, schema={"sex": pl.String})
    return Split(pl.Series(map(str, range(n))), x_N2.astype(np.float32), y_N, groups)


def biased(seed: int) -> Dataset:
    """In training, sex and class agree nine times in ten."""
    splits = {"train": people(1000, 2 * seed, 0.9), "validation": people(50, 2 * seed + 1, 0.9)}
    return Dataset("people", "tabular", ("no", "yes"), SCHEMA, splits, "0" * 64, ("sex",))


def fair(method: Method, **settings: Any) -> Recipe:
    mitigation = Mitigation(method=method, attribute="sex", strength=3.0, weights_rate=0.05)
    return Recipe(kind="fair", fairness=mitigation, **{**SMALL, **settings})


@cache
def outcome(method: Method | None, seed: int) -> dict[str, float]:
    """What the trained model does to people of whom sex and class are independent."""
    recipe = Recipe(**SMALL) if method is None else fair(method)
    version = train(recipe, biased(seed), seed=seed)
    test = people(4000, 1000 + seed, 0.5)
    with torch.no_grad():
        said_N = version.classifier(torch.from_numpy(test.inputs)).argmax(1).numpy()
    is_m_N = (test.groups["sex"] == "m").to_numpy()
    rate = {
        (sex, y): float(said_N[(is_m_N == sex) & (test.labels == y)].mean()) for sex in (0, 1) for y in (0, 1)
    }
    return {
        "accuracy": float((said_N == test.labels).mean()),
        "worst group accuracy": min(rate[sex, y] if y else 1 - rate[sex, y] for sex, y in rate),
        "demographic parity difference": abs(float(said_N[is_m_N].mean() - said_N[~is_m_N].mean())),
        "equalized odds difference": max(abs(rate[0, y] - rate[1, y]) for y in (0, 1)),
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("reweighing", "demographic parity difference"),
        ("group_dro", "worst group accuracy"),
        ("adversarial_debiasing", "equalized odds difference"),
    ],
)
def test_a_planted_bias_is_halved(method: Method, target: str, seed: int) -> None:
    before, after = outcome(None, seed), outcome(method, seed)
    if target == "worst group accuracy":
        assert after[target] > before[target] + 0.15
    else:
        assert before[target] > 0.3
        assert after[target] < before[target] / 2
    assert after["accuracy"] > before["accuracy"]  # here the bias only misleads


def test_reweighing_makes_group_and_class_independent() -> None:
    rng = np.random.default_rng(0)
    level_N, label_N = rng.integers(0, 3, 500), rng.integers(0, 4, 500)
    label_N[level_N == 1] = rng.integers(2, 4, int((level_N == 1).sum()))  # uneven, two cells empty
    label_N[np.flatnonzero(level_N == 1)[:2]] = [0, 1]
    weight_N = reweighing_weights(level_N, label_N)
    joint_GK = np.zeros((3, 4))
    np.add.at(joint_GK, (level_N, label_N), weight_N / 500)
    product_GK = np.outer(
        [(level_N == level).mean() for level in range(3)], [(label_N == label).mean() for label in range(4)]
    )
    np.testing.assert_allclose(joint_GK, product_GK, rtol=1e-12)
    assert weight_N.mean() == pytest.approx(1, abs=1e-12)


def test_reweighing_by_hand() -> None:
    # Ten people: 4 of 6 men and 1 of 4 women hired. AIF360 writes W_pp = N_p·N_fav / (N·N_p,fav), and so on.
    is_man_N = np.array([1] * 6 + [0] * 4)
    hired_N = np.array([1, 1, 1, 1, 0, 0, 1, 0, 0, 0])
    expected = [6 * 5 / (10 * 4)] * 4 + [6 * 5 / (10 * 2)] * 2 + [4 * 5 / (10 * 1)] + [4 * 5 / (10 * 3)] * 3
    np.testing.assert_allclose(reweighing_weights(is_man_N, hired_N), expected)


def batch_of(rows: list[int], split: Split) -> Batch:
    index_B = torch.tensor(rows)
    x = torch.from_numpy(split.inputs)
    return Batch(x[index_B], torch.from_numpy(split.labels)[index_B], index_B)


def test_the_reweighed_loss_is_the_weighted_mean() -> None:
    split = people(8, 0, 0.5)
    weight_N = np.arange(1.0, 9.0)
    classifier = MLP([2], 2, hidden=4)
    step = ReweighingStep(
        classifier, fair("reweighing", label_smoothing=0.1), weight_N=weight_N, device=CPU, bf16=False
    )
    batch = batch_of([5, 0, 3], split)
    single = [
        float(functional.cross_entropy(classifier(x[None]), y[None], label_smoothing=0.1).detach())
        for x, y in zip(batch.x, batch.y_B, strict=True)
    ]
    loss = step.loss(batch.x, batch, 0.0, torch.Generator())
    assert float(loss.detach()) == pytest.approx(
        (6 * single[0] + 1 * single[1] + 4 * single[2]) / 3, rel=1e-5
    )


def test_group_dro_by_hand() -> None:
    split = people(6, 0, 0.5)
    recipe = fair("group_dro")
    classifier = MLP([2], 2, hidden=4)
    group_N = np.array([7, 2, 7, 2, 9, 9])  # 2 → 0, 7 → 1, 9 → 2; group 9 is not in the batch
    step = GroupDROStep(classifier, recipe, group_N=group_N, device=CPU, bf16=False)
    batch = batch_of([0, 1, 2], split)
    loss_B = functional.cross_entropy(classifier(batch.x), batch.y_B, reduction="none").detach()
    means = torch.stack([loss_B[1], (loss_B[0] + loss_B[2]) / 2, torch.tensor(0.0)])
    q_G = torch.full((3,), 1 / 3)
    for _ in range(2):  # q first, then the loss with the new q: algorithm 1's order
        q_G = q_G * torch.exp(0.05 * means)
        q_G = q_G / q_G.sum()
        loss = step.loss(batch.x, batch, 0.0, torch.Generator())
        assert float(loss.detach()) == pytest.approx(float((q_G * means).sum()), rel=1e-5)
        torch.testing.assert_close(step.state["group_weights"], q_G)


def test_group_dro_draws_every_group_as_often() -> None:
    group_N = np.array([0] * 970 + [1] * 20 + [2] * 10)
    np.random.default_rng(0).shuffle(group_N)
    step = GroupDROStep(
        MLP([2], 2, hidden=4), fair("group_dro", batch_size=100), group_N=group_N, device=CPU, bf16=False
    )
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([index_B for _ in range(6) for index_B in step.batches(generator)]).numpy()
    assert len(drawn) == 6000
    count_G = np.bincount(group_N[drawn], minlength=3)
    assert np.abs(count_G - 2000).max() < 5 * np.sqrt(6000 * 2 / 9)
    rare = np.bincount(drawn, minlength=1000)[group_N == 2]  # 200 draws each expected
    assert np.abs(rare - 200).max() < 5 * np.sqrt(200)


def test_the_step_away_from_the_adversary_by_hand() -> None:
    own = [torch.tensor([3.0, 1.0]), torch.tensor([[2.0]])]
    theirs = [torch.tensor([1.0, 0.0]), torch.tensor([[1.0]])]
    # Along theirs: (3 + 2) / 2 = 2.5 times, of which nothing is left; then 0.5 times theirs is taken away.
    moved = away_from(own, theirs, 0.5)
    torch.testing.assert_close(moved, [torch.tensor([0.0, 1.0]), torch.tensor([[-1.0]])])
    silent = [torch.zeros(2), torch.zeros(1, 1)]
    torch.testing.assert_close(away_from(own, silent, 1.0), own)


def is_m(split: Split) -> Tensor:
    return torch.from_numpy((split.groups["sex"] == "m").to_numpy().astype(np.int64))


def debiasing(classifier: MLP, recipe: Recipe, split: Split) -> AdversarialDebiasingStep:
    level_N = is_m(split).numpy()
    return AdversarialDebiasingStep(
        classifier, recipe, levels=2, level_N=level_N, label_N=split.labels, device=CPU, bf16=False
    )


def balanced(guess_NG: Tensor, split: Split) -> Tensor:
    """The mean over the classes of the adversary's mean loss within each."""
    labels = torch.from_numpy(split.labels)
    of_class = [functional.cross_entropy(guess_NG[labels == y], is_m(split)[labels == y]) for y in (0, 1)]
    return torch.stack(of_class).mean()


def test_the_adversary_is_pushed_back_by_its_own_gradient_times_the_strength() -> None:
    split = people(64, 0, 0.9)
    classifier = MLP([2], 2, hidden=4)
    recipe = fair("adversarial_debiasing", gradient_clip=0)
    step = debiasing(classifier, recipe, split)
    batch = batch_of(list(range(64)), split)
    parameters = list(classifier.parameters())
    for _ in range(5):  # at first the adversary knows nothing
        before = {name: part.detach().clone() for name, part in step.state["adversary"].items()}
        step.gradients(batch, 0.0, torch.Generator())
    scores_BK = ((1 + before["sharpness"].abs()) * classifier(batch.x)).softmax(1)
    guess_BG = torch.stack(
        [
            before["maps"][y] @ scores + before["offsets"][y]
            for y, scores in zip(batch.y_B, scores_BK, strict=True)
        ]
    )
    theirs = torch.autograd.grad(balanced(guess_BG, split), parameters)
    own = torch.autograd.grad(functional.cross_entropy(classifier(batch.x), batch.y_B), parameters)

    def flat(parts: Any) -> Tensor:
        return torch.cat([part.flatten() for part in parts]).double()

    taken, a, p = flat(q.grad for q in parameters), flat(theirs), flat(own)
    assert float(taken @ a) == pytest.approx(-3.0 * float(a @ a), rel=1e-3)
    torch.testing.assert_close(taken + 3.0 * a, p - (p @ a) / (a @ a) * a, rtol=1e-4, atol=1e-6)


def test_the_adversarys_optimiser_is_adam() -> None:
    split = people(64, 0, 0.9)
    classifier = MLP([2], 2, hidden=4)
    step = debiasing(classifier, fair("adversarial_debiasing"), split)
    generator = torch.Generator().manual_seed(0)
    for part in step.state["adversary"].values():  # a gradient of nearly nothing would be all rounding
        part += torch.randn(part.shape, generator=generator)
    copy = {name: part.clone().requires_grad_() for name, part in step.state["adversary"].items()}
    adam = torch.optim.Adam(copy.values(), lr=1e-2)
    batch = batch_of(list(range(64)), split)
    logits_BK = classifier(batch.x).detach()
    for _ in range(4):  # the model does not move: nobody steps its optimiser
        scores_BK = ((1 + copy["sharpness"].abs()) * logits_BK).softmax(1)
        guess_BG = (copy["maps"][batch.y_B] @ scores_BK[:, :, None])[:, :, 0] + copy["offsets"][batch.y_B]
        adam.zero_grad()
        balanced(guess_BG, split).backward()  # type: ignore[no-untyped-call]
        adam.step()
        step.gradients(batch, 0.0, torch.Generator())
    for name, part in step.state["adversary"].items():
        torch.testing.assert_close(part, copy[name], rtol=1e-4, atol=1e-6)


class _StopError(Exception):
    pass


@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_run_resumes_to_the_same_weights(method: Method, tmp_path: Path) -> None:
    recipe = fair(method, epochs=3, average=0.9, options={"hidden": 16, "depth": 1, "dropout": 0.2})
    data = biased(0)
    whole = train(recipe, data, seed=5).record.weights_digest

    def stop(progress: TrainingProgress) -> None:
        if progress.epoch == 2:
            raise _StopError

    path = tmp_path / "fair.pt"
    with pytest.raises(_StopError):
        train(recipe, data, seed=5, checkpoint=path, progress=stop)
    seen: list[int] = []
    resumed = train(recipe, data, seed=5, checkpoint=path, progress=lambda p: seen.append(p.epoch))
    assert seen == [3]
    assert resumed.record.weights_digest == whole


def few(modality: Modality) -> Dataset:
    """Sixteen examples of three classes and three groups, one of them of people who did not say."""
    level_N, y_N = (np.array(column) for column in zip(*itertools.product(range(3), range(3)), strict=True))
    level_N, y_N = np.concatenate([level_N] * 2), np.concatenate([y_N] * 2)
    rng = np.random.default_rng(0)
    space: Any = {
        "image": ImageBox((1, 4, 4)),
        "text": TokenSpace(vocabulary=300, max_length=8),
        "tabular": SCHEMA,
    }[modality]
    inputs: Any = {
        "image": rng.integers(0, 256, (18, 1, 4, 4)).astype(np.uint8),
        "text": [f"word{y} and {level}" for level, y in zip(level_N, y_N, strict=True)],
        "tabular": rng.normal(size=(18, 2)).astype(np.float32),
    }[modality]
    groups = pl.DataFrame({"sex": [("f", "m", "unknown")[level] for level in level_N]})
    split = Split(pl.Series(map(str, range(18))), inputs, y_N, groups)
    splits = {"train": split, "validation": split}
    return Dataset("few", modality, ("a", "b", "c"), space, splits, "1" * 64, ("sex",))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("modality", "architecture"), [("image", "mlp"), ("text", "text_transformer"), ("tabular", "mlp")]
)
def test_every_modality_and_any_number_of_classes_and_groups(
    method: Method, modality: Modality, architecture: str
) -> None:
    recipe = fair(method, architecture=architecture, options={}, epochs=1, batch_size=9)
    record = train(recipe, few(modality), seed=0).record
    assert record.recipe == recipe
    assert record.metrics["training_examples"] == 18


def with_groups(frame: pl.DataFrame) -> Dataset:
    split = people(8, 0, 0.5)
    split = Split(split.ids, split.inputs, np.array([0, 1] * 4), frame)
    splits = {"train": split, "validation": split}
    return Dataset("people", "tabular", ("no", "yes"), SCHEMA, splits, "2" * 64, tuple(frame.columns))


@pytest.mark.parametrize("method", METHODS)
def test_groups_that_do_not_serve_are_named(method: Method) -> None:
    recipe = fair(method, epochs=1)
    with pytest.raises(UsageError, match="unknown group column 'sex'") as missing:
        train(recipe, with_groups(pl.DataFrame({"gender": ["f", "m"] * 4, "site": ["a"] * 8})), seed=0)
    assert "gender, site" in str(missing.value)
    with pytest.raises(UsageError, match="every training example has sex 'f'"):
        train(recipe, with_groups(pl.DataFrame({"sex": ["f"] * 8})), seed=0)


def test_a_level_without_a_class_cannot_be_reweighed_but_counts_elsewhere() -> None:
    data = with_groups(pl.DataFrame({"sex": ["f", "m", "f", "m", "f", "m", "f", "f"]}))  # no man is a "no"
    with pytest.raises(UsageError, match="no training example of sex 'm' has class 0"):
        train(fair("reweighing"), data, seed=0)
    for method in METHODS[1:]:
        train(fair(method, epochs=1), data, seed=0)


def test_blended_examples_have_no_group() -> None:
    with pytest.raises(ValidationError, match="mixup"):
        fair("group_dro", mixup=0.2)
