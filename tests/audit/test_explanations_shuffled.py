"""Maps of a model, of one that learnt shuffled labels, and of one that learnt the same labels once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from raiaudit.attacks.spaces import Column, TableSchema
from raiaudit.audit.explanations.quality.randomisation import Randomisation, RandomisationConfig
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.recipe import Recipe
from raiaudit.models.training.train import train

if TYPE_CHECKING:
    from raiaudit.models.architectures.classifier import Classifier

RECIPE = Recipe(architecture="mlp", options={"hidden": 32}, epochs=12, batch_size=32, learning_rate=1e-2)
SETTINGS: dict[str, Any] = {
    "methods": ("integrated_gradients", "grad_cam"),
    "examples": 24,
    "seeds": 2,
    "stages": 2,
    "data": True,
}


@pytest.fixture(scope="module")
def learnt() -> tuple[Classifier, Dataset]:
    """Eight columns, of which the signs and sizes of four weights decide."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (200, 8)).astype(np.float32)
    y = (x @ np.array([4, -3, 2, -1, 0, 0, 0, 0]) > 0).astype(np.int64)
    split = Split(pl.Series([f"r{row:03d}" for row in range(200)]), x, y)
    splits = {"train": split, "validation": split.take(slice(0, 40)), "test": split}
    space = TableSchema(tuple(Column(f"c{at}", "real", -1, 1) for at in range(8)))
    data = Dataset("lines", "tabular", ("no", "yes"), space, splits, "lines")
    return train(RECIPE, data, seed=3, device="cpu").classifier, data


def test_maps_follow_the_labels_and_the_twin_says_how_closely(
    learnt: tuple[Classifier, Dataset], make_subject: Any, run_check: Any
) -> None:
    check, config = Randomisation(), RandomisationConfig(**SETTINGS)
    subject = make_subject(*learnt, recipe=RECIPE)
    ledger = run_check(check, subject, config)
    found: dict[str, Any] = {m.label(): m for m in check.summarise(ledger, subject, config)}
    shuffled = found["shuffled_labels_similarity (method=integrated_gradients)"]
    retrained = found["retrained_similarity (method=integrated_gradients)"]
    assert retrained.low > 0.7
    assert shuffled.high < retrained.low - 0.2
    assert (shuffled.n, shuffled.better, retrained.better) == (24, "lower", "neither")
    assert 0.5 < found["shuffled_labels_learnt"].value < 1
    drawn = check.evidence(ledger, subject, config)["labels"]  # what could not be measured is no part of it
    assert drawn.select("method", "twin", "value", "low", "high").rows() == [
        ("integrated_gradients", "shuffled", shuffled.value, shuffled.low, shuffled.high),
        ("integrated_gradients", "retrained", retrained.value, retrained.low, retrained.high),
    ]
    assert set(drawn["learnt"]) == {found["shuffled_labels_learnt"].value}
    assert "not defined for tabular" in found["shuffled_labels_similarity (method=grad_cam)"].reason
    names = {task.name for task in check.tasks(subject, config.model_copy(update={"data": False}))}
    assert names == {"randomisation-0000000"}  # unless asked for, nothing is trained


def test_a_model_without_a_recipe_has_the_cascade_alone(
    learnt: tuple[Classifier, Dataset], make_subject: Any, run_check: Any
) -> None:
    check, config = Randomisation(), RandomisationConfig(**SETTINGS)
    subject = make_subject(*learnt)
    found: dict[str, Any] = {
        m.label(): m for m in check.summarise(run_check(check, subject, config), subject, config)
    }
    shuffled = found["shuffled_labels_similarity (method=integrated_gradients)"]
    assert (shuffled.value, shuffled.reason) == (None, "the subject offers no retraining recipe")
    assert found["randomisation_similarity (method=integrated_gradients)"].value is not None
    assert set(check.evidence(run_check(check, subject, config), subject, config)) == {"cascade"}
