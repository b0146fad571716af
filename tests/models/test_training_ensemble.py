"""Packed training gives each member what `train` gives it; what cannot be packed says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from raiaudit.attacks.spaces import Column, TableSchema
from raiaudit.errors import RaiauditError
from raiaudit.models.architectures.mlp import MLP
from raiaudit.models.data import load_dataset
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.recipe import Mitigation, Recipe
from raiaudit.models.training import train
from raiaudit.models.training.ensemble import Member, packed, train_ensemble, why_not_packed
from raiaudit.models.training.ensemble.member import Job
from raiaudit.models.training.ensemble.packed import Pack, fit_pack

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.models.architectures.classifier import Classifier

DIGITS = load_dataset("digits")


def table() -> Dataset:
    """Two numbers and a category; the label is a function of them."""
    rng = np.random.default_rng(0)
    splits = {}
    for name, count in (("train", 120), ("validation", 40)):
        numbers = rng.normal(size=(count, 2)).astype(np.float32)
        category = np.eye(3, dtype=np.float32)[rng.integers(0, 3, count)]
        labels = (numbers[:, 0] + category[:, 1] > 0.3).astype(np.int64)
        ids = pl.Series([f"{name}{row}" for row in range(count)])
        splits[name] = Split(ids, np.hstack([numbers, category]), labels)
    columns = (
        Column("a", "real", -4, 4),
        Column("b", "real", -4, 4),
        Column("c", "category", categories=("x", "y", "z")),
    )
    return Dataset("table", "tabular", ("no", "yes"), TableSchema(columns), splits, digest="table")


TABLE = table()
# SGD, since AdamW divides by the root of a gradient's square: rounding near 0 becomes a step of full size.
SGD: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 0.05, "epochs": 2, "batch_size": 16}
PACKABLE = {
    "mlp": (DIGITS, Recipe(architecture="mlp", augment="shift", average=0.9, label_smoothing=0.1, **SGD)),
    "mlp, clipped hard": (DIGITS, Recipe(architecture="mlp", gradient_clip=0.05, **SGD)),
    "mlp, adamw": (DIGITS, Recipe(architecture="mlp", epochs=1, batch_size=16, gradient_clip=0)),
    "cnn": (
        DIGITS,
        Recipe(
            architecture="cnn",
            options={"width": 4, "hidden": 16},
            augment="crop-flip",
            cutout=0.3,
            mixup=0.4,
            schedule="constant",
            train_limit=48,
            **SGD,
        ),
    ),
    "batch norm": (
        DIGITS,
        Recipe(architecture="cnn", options={"width": 8, "hidden": 16, "norm": "batch"}, **SGD),
    ),
    "attention": (TABLE, Recipe(architecture="ft_transformer", options={"width": 8, "dropout": 0.0}, **SGD)),
}


def members(count: int, rows: int = 64) -> list[Member]:
    """Each on rows of its own, of the first 100."""
    rng = np.random.default_rng(3)
    return [Member(rng.permutation(100)[:rows], seed) for seed in range(count)]


def distance(first: Classifier, second: Classifier) -> float:
    """The largest difference between weights or buffers."""
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return max(float((one.double() - other.double()).abs().max()) for one, other in pairs)


@pytest.mark.parametrize("what", PACKABLE)
def test_each_packed_member_is_the_model_that_train_makes(what: str) -> None:
    dataset, recipe = PACKABLE[what]
    given = members(3)
    together = fit_pack(Job(recipe, dataset, tuple(given), "cpu"), given, path=None, report=None)
    alone = [train(recipe, dataset, seed=m.seed, device="cpu", indices=m.rows_N).classifier for m in given]
    for one, other in zip(together, alone, strict=True):
        assert distance(one, other) < 2e-5
        assert not one.training
    assert distance(together[0], together[1]) > 1e-3


def test_a_serial_ensemble_is_train_to_the_last_bit() -> None:
    dataset, recipe = PACKABLE["mlp"]
    given = members(2)
    found = train_ensemble(recipe, dataset, given, device="cpu", mode="serial")
    for member, classifier in zip(given, found.classifiers, strict=True):
        alone = train(recipe, dataset, seed=member.seed, device="cpu", indices=member.rows_N)
        assert distance(classifier, alone.classifier) == 0
    assert str(found.choice) == "serial"


@pytest.mark.parametrize(("dropout", "same"), [(0.0, True), (0.5, False)])
def test_dropout_draws_another_mask_for_each_member(dropout: float, same: bool) -> None:
    recipe = Recipe(architecture="mlp", options={"dropout": dropout}, **SGD)
    twins = members(1) * 2
    first, second = fit_pack(Job(recipe, DIGITS, tuple(twins), "cpu"), twins, path=None, report=None)
    assert (distance(first, second) == 0) == same


def test_the_data_are_held_once_and_as_bytes() -> None:
    dataset = load_dataset("digits")
    given = members(4)
    pack = Pack(Job(Recipe(architecture="mlp"), dataset, tuple(given), "cpu"), given)
    assert len(pack.examples) == len(dataset.splits["train"])
    assert pack.rows_KN.shape == (4, 64)


class _KilledError(Exception):
    pass


def test_a_killed_pack_resumes_from_its_last_epoch_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "SAVE_EVERY", 0.0)
    recipe = Recipe(
        architecture="mlp", options={"dropout": 0.3}, epochs=4, batch_size=16, augment="shift", average=0.9
    )
    given = members(3)
    job = Job(recipe, DIGITS, tuple(given), "cpu")
    whole = fit_pack(job, given, path=None, report=None)

    def stop(epoch: int, _loss: float) -> None:
        if epoch == 2:
            raise _KilledError

    path = tmp_path / "pack"
    with pytest.raises(_KilledError):
        fit_pack(job, given, path=path, report=stop)
    epochs: list[int] = []
    resumed = fit_pack(job, given, path=path, report=lambda epoch, _loss: epochs.append(epoch))
    assert epochs == [3, 4]
    assert [distance(*pair) for pair in zip(whole, resumed, strict=True)] == [0, 0, 0]
    others = members(3, rows=48)
    with pytest.warns(UserWarning, match="another training run"):
        fit_pack(replace(job, members=tuple(others)), others, path=path, report=None)


def test_a_member_that_diverges_is_named() -> None:
    recipe = Recipe(architecture="mlp", optimizer="sgd", learning_rate=1e18, gradient_clip=0, epochs=3)
    given = members(2)
    with pytest.raises(RaiauditError, match="member 1 of 2"):
        fit_pack(Job(recipe, DIGITS, tuple(given), "cpu"), given, path=None, report=None)


class _Layered(MLP):
    """An MLP with one more layer at the end."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__([1, 8, 8], 10, hidden=8)
        self.last = last

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.last(super().forward(inputs))
        return logits


class _Renorm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.renorm(2, 0, 1.0)


class _Asks(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("last", "says"),
    [
        (nn.Identity(), ""),
        (nn.BatchNorm1d(10), ""),
        (_Renorm(), "no vectorised form"),  # torch falls back to one member after the other
        (nn.RReLU(), "cannot be vectorised"),
        (_Asks(), "cannot be vectorised"),
    ],
    ids=["identity", "batch norm", "fallback", "no rule", "data-dependent"],
)
def test_a_layer_that_cannot_be_packed_is_found_out(last: nn.Module, says: str) -> None:
    model = _Layered(last).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for _ in range(2):  # torch must not warn only once
        why = why_not_packed(Recipe(architecture="mlp"), model, DIGITS.splits["train"].inputs)
        assert says in why
        assert bool(why) == bool(says)
    assert not model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_other_kinds_of_training_are_not_packed() -> None:
    model, inputs = MLP([1, 8, 8], 10), DIGITS.splits["train"].inputs
    fair = Recipe(
        architecture="mlp", kind="fair", fairness=Mitigation(method="group_dro", attribute="stroke")
    )
    assert "kind: fair" in why_not_packed(fair, model, inputs)
    assert "compiled" in why_not_packed(Recipe(architecture="mlp", compile=True), model, inputs)
