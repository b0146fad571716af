"""Texts whose class depends on a few words, and a transformer that has learned which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from torch.nn import functional

from raiaudit.attacks.spaces import TokenSpace
from raiaudit.models.architectures.text_transformer import TextTransformer
from raiaudit.models.data.dataset import Dataset, Split


def text_data(lines: Sequence[str], classes: tuple[str, str], vocabulary: int) -> Dataset:
    """The same texts in every split; the second of each pair of lines is of the second class."""
    n = len(lines)
    split = Split(pl.Series([f"t{row:02d}" for row in range(n)]), list(lines), np.arange(n) % 2)
    splits = {"train": split, "validation": split, "test": split}
    return Dataset("planted", "text", classes, TokenSpace(vocabulary, 24), splits, digest="texts")


def fitted_transformer(dataset: Dataset, steps: int) -> TextTransformer:
    """A small one that has every training text right."""
    torch.manual_seed(0)
    model = TextTransformer.for_dataset(dataset, width=16, depth=1, heads=2, dropout=0.0)
    split = dataset.splits["train"]
    assert isinstance(split.inputs, list)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    x, y_B = model.encode(split.inputs), torch.from_numpy(split.labels)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y_B).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert (model.eval()(x).argmax(1) == y_B).all()
    return model
