"""Memory layout of training: channels last where it is safe, and never where it writes beyond its memory."""

import numpy as np
import polars as pl
import pytest
import torch

from raiaudit.attacks.spaces import ImageBox
from raiaudit.models.architectures.cnn import ConvNet
from raiaudit.models.architectures.resnet import ResNet18
from raiaudit.models.data.dataset import Dataset, Split
from raiaudit.models.recipe import Recipe
from raiaudit.models.training import train
from raiaudit.models.training.precision import channels_last

SHAPE = (1, 8, 8)


def recipe(**more: object) -> Recipe:
    return Recipe.model_validate({"architecture": "resnet18", "options": {"width": 4}, **more})


@pytest.mark.parametrize("asked", [None, True])
@pytest.mark.parametrize(("width", "safe"), [(4, False), (8, True)])
def test_strided_1x1_convolutions_of_few_channels_stay_channels_first(
    asked: bool | None, width: int, safe: bool
) -> None:
    model = ResNet18([*SHAPE], 10, width=width)
    assert channels_last(model, recipe(channels_last=asked)) == safe


def test_it_is_the_recipes_choice_elsewhere() -> None:
    model = ConvNet([*SHAPE], 10)
    assert channels_last(model, recipe())
    assert not channels_last(model, recipe(channels_last=False))


def test_a_narrow_residual_network_trains() -> None:
    """With torch 2.13 the process died of a corrupted heap here."""
    rng = np.random.default_rng(0)

    def split(name: str, n: int) -> Split:
        ids = pl.Series([f"{name}-{row}" for row in range(n)])
        return Split(ids, rng.random((n, *SHAPE), np.float32), rng.integers(0, 2, n), pl.DataFrame())

    data = Dataset(
        name="noise",
        modality="image",
        classes=("0", "1"),
        space=ImageBox(SHAPE, 0.0, 1.0),
        splits={"train": split("train", 256), "validation": split("validation", 20)},
        digest="noise",
        source="made here",
        licence="none",
    )
    trained = train(recipe(epochs=2, batch_size=64), data, seed=0, device="cpu")
    assert all(torch.isfinite(weight).all() for weight in trained.classifier.parameters())
