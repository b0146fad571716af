"""Membership by labels alone: an overfitted model is found, a lookup that never saw them is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from torch import Tensor

from raiaudit.attacks.spaces import Column, ImageBox, TableSchema, TokenSpace
from raiaudit.audit.privacy.inference.label_only import LabelOnly, LabelOnlyConfig
from raiaudit.audit.privacy.inference.neighbourhood import boundary_distances
from raiaudit.errors import CapabilityError, QueryFailedError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject

SIDE = 120


class Halfspace(Classifier):
    """Class 1 where the first value is above one half."""

    architecture, knowledge = "halfspace", "label"
    modality: Any = "image"

    def forward(self, inputs: Tensor) -> Tensor:
        above = inputs.flatten(1)[:, 0] > 0.5
        return above.float()[:, None] * inputs.new_tensor([-9.0, 9.0]) + inputs.new_tensor([5.0, -5.0])


def halfspace_data(member_far: bool, modality: Any = "image") -> Dataset:
    """Members lie 0.4 from the boundary and others 0.05, or all of them anywhere."""
    rng = np.random.default_rng(0)
    splits = {}
    for name, away in (("train", 0.4), ("validation", 0.05), ("test", 0.05)):
        x = rng.uniform(0.2, 0.8, size=(SIDE, 4)).astype(np.float32)
        y = rng.integers(0, 2, SIDE)
        apart = away if member_far else rng.uniform(0.02, 0.4, SIDE)
        x[:, 0] = 0.5 + np.where(y == 1, apart, -apart)
        shaped = x.reshape(SIDE, 1, 2, 2) if modality == "image" else x * 10
        splits[name] = Split(pl.Series([f"{name}{i}" for i in range(SIDE)]), shaped, y)
    space = (
        ImageBox((1, 2, 2))
        if modality == "image"
        else TableSchema(tuple(Column(f"c{i}", "real", 0, 10) for i in range(4)))
    )
    return Dataset("half", modality, ("n", "y"), space, splits, digest="0")


def measured(run_check: Any, subject: Subject, **options: Any) -> dict[str, Measurement]:
    config = LabelOnlyConfig(**{"pool": SIDE, "fpr": (0.2,), **options})
    ledger = run_check(LabelOnly(), subject, config)
    assert set(LabelOnly().evidence(ledger, subject, config)) == {"roc", "histogram"}
    return {m.label(): m for m in LabelOnly().summarise(ledger, subject, config)}


def test_members_far_from_the_boundary_are_found_by_noise_and_by_distance(
    make_subject: Any, run_check: Any
) -> None:
    subject = make_subject(Halfspace(), halfspace_data(member_far=True))
    found = measured(run_check, subject, distance=20, budget=150)
    for attack in ("noise", "boundary"):
        assert (found[f"membership_auc (attack={attack})"].low or 0) > 0.8, attack
    assert found["membership_auc (attack=gap)"].value == 0.5  # the model is always right
    assert found["queries (attack=noise)"].value == 31
    assert found["queries (attack=noise)"].unit == "queries per example"
    assert 50 < (found["queries (attack=boundary)"].value or 0) <= 150
    assert found["membership_auc (attack=boundary)"].n == 40
    assert {m.beside for m in found.values() if m.where["attack"] != "noise"} == {"attack"}


def test_where_members_are_like_others_nothing_is_found(make_subject: Any, run_check: Any) -> None:
    found = measured(run_check, make_subject(Halfspace(), halfspace_data(member_far=False)))
    area = found["membership_auc (attack=noise)"]
    assert (area.low or 1) < 0.5 < (area.high or 0)


def test_the_distance_is_that_to_the_boundary_in_shares_of_the_box(make_subject: Any) -> None:
    for modality in ("image", "tabular"):
        data = halfspace_data(member_far=True, modality=modality)
        model = Halfspace() if modality == "image" else Scaled()
        found = boundary_distances(
            make_subject(model, data), data.splits["train"].take(slice(0, 6)), range(6), 2000
        )
        assert found.distance_N == pytest.approx(np.full(6, 0.4), rel=0.1)
        assert (found.queries_N <= 2000).all()


class Scaled(Halfspace):
    """Of a table whose columns reach from 0 to 10."""

    modality = "tabular"

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs / 10)


class Forgetful(Halfspace):
    """No answer about inputs whose second value is above 0.75."""

    def forward(self, inputs: Tensor) -> Tensor:
        logits = super().forward(inputs)
        lost = (inputs.flatten(1)[:, 1] > 0.75).nonzero().flatten().tolist()
        if lost:
            raise QueryFailedError(
                "no answer", rows=tuple(lost), answers=logits, where="box", remedy="ask again"
            )
        return logits


def test_an_example_without_all_answers_has_no_score(make_subject: Any, run_check: Any) -> None:
    data = halfspace_data(member_far=True)
    found = measured(run_check, make_subject(Forgetful(), data), sigmas=(1e-4,), draws=2)
    pool = np.concatenate([data.splits["train"].inputs, data.splits["validation"].inputs])
    answered = found["membership_auc (attack=noise)"].n
    assert 0 < answered < 2 * SIDE
    assert answered < 2 * SIDE * (pool.reshape(-1, 4)[:, 1] <= 0.76).mean() + 20


def test_a_table_keeps_its_categories_and_whole_numbers(make_subject: Any, run_check: Any) -> None:
    seen: list[Any] = []

    class Watched(Classifier):
        architecture, modality = "watched", "tabular"

        def forward(self, inputs: Tensor) -> Tensor:
            seen.append(inputs.numpy().copy())
            return inputs[:, :2]

    rng = np.random.default_rng(1)
    schema = TableSchema(
        (Column("age", "integer", 20, 60), Column("kind", "category", categories=("a", "b")))
    )
    splits = {}
    for name in ("train", "validation", "test"):
        kind = np.eye(2)[rng.integers(0, 2, 20)]
        x = np.hstack([rng.integers(20, 60, (20, 1)), kind]).astype(np.float32)
        splits[name] = Split(pl.Series([f"{name}{i}" for i in range(20)]), x, np.zeros(20, np.int64))
    subject = make_subject(Watched(), Dataset("t", "tabular", ("n", "y"), schema, splits, digest="0"))
    measured(run_check, subject, pool=20)
    for x in seen:
        np.testing.assert_array_equal(x[:, 1:], seen[0][:, 1:])
        np.testing.assert_array_equal(x[:, 0], x[:, 0].round())
        assert ((x[:, 0] >= 20) & (x[:, 0] <= 60)).all()
    assert len({x[:, 0].tobytes() for x in seen}) > 10


class Vocabulary(Classifier):
    """Class 1 if any word of the text is one it knows."""

    architecture, modality, knowledge = "vocabulary", "text", "label"
    known = frozenset({"splendid", "wonderful", "marvellous"})

    def encode(self, inputs: Any) -> Any:
        import torch

        return torch.tensor([[float(sum(word in self.known for word in text.split()))] for text in inputs])

    def forward(self, inputs: Tensor) -> Tensor:
        import torch

        return torch.cat([0.5 - inputs, inputs - 0.5], 1)


def test_texts_are_misspelt(make_subject: Any, run_check: Any) -> None:
    """Members say it three times over, others once: a misspelling then costs them the label."""
    splits = {}
    for name, words in (("train", "splendid wonderful marvellous"), ("validation", "splendid old film")):
        texts = [words] * 60
        splits[name] = Split(pl.Series([f"{name}{i}" for i in range(60)]), texts, np.ones(60, np.int64))
    splits["test"] = splits["validation"].take(slice(0, 0))
    subject = make_subject(
        Vocabulary(), Dataset("t", "text", ("n", "y"), TokenSpace(9, 9), splits, digest="0")
    )
    found = measured(run_check, subject, pool=60, sigmas=(0.3, 0.6))
    assert (found["membership_auc (attack=noise)"].low or 0) > 0.9
    with pytest.raises(CapabilityError, match="no distance"):
        LabelOnly().tasks(subject, LabelOnlyConfig(distance=2))


def test_what_cannot_be_is_refused(make_subject: Any) -> None:
    for wrong in ({"sigmas": [0]}, {"sigmas": [1.5]}, {"fpr": [1]}, {"draws": 0}):
        with pytest.raises(ValidationError):
            LabelOnlyConfig.model_validate(wrong)
    data = halfspace_data(member_far=True, modality="tabular")
    kinds = TableSchema((Column("kind", "category", categories=("a", "b", "c", "d")),))
    only = Dataset("t", "tabular", data.classes, kinds, data.splits, digest="0")
    with pytest.raises(CapabilityError, match="no column of the table is a number"):
        LabelOnly().tasks(make_subject(Halfspace(), only), LabelOnlyConfig())
