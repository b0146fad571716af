"""A column that links examples of one subject: neither feature nor group, in every split with its rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from raiaudit.attacks.spaces import TableSchema
from raiaudit.errors import DataError
from raiaudit.models.data.dataset import Split
from raiaudit.models.data.user import UserData
from raiaudit.models.data.user_dataset import load_user_dataset


def write(folder: Path) -> Path:
    n = 400  # far more subjects than a group column may have levels
    rows = {
        "person": [f"p{row // 2}" if row % 50 else "" for row in range(n)],
        "tone": ["dark", "light"] * (n // 2),
        "x": list(range(n)),
        "label": ["a", "b", "b", "a"] * (n // 4),
    }
    pl.DataFrame(rows).write_csv(folder / "data.csv")
    return folder


def test_links_follow_their_rows_through_splits(tmp_path: Path) -> None:
    config = UserData(name="mine", path=Path("data.csv"), groups=("tone",), links="person")
    data = load_user_dataset(config, write(tmp_path))
    assert data.group_names == ("tone",)
    assert isinstance(data.space, TableSchema)
    assert [column.name for column in data.space.columns] == ["tone", "x"]
    seen = 0
    for split in data.splits.values():
        assert split.links is not None
        taken = split.take(slice(0, len(split))).links
        assert taken is not None
        for x, link in zip(np.asarray(split.inputs)[:, 2], taken.to_list(), strict=True):
            assert link == (f"p{int(x) // 2}" if int(x) % 50 else "unknown")
            seen += 1
    assert seen == 400


def test_data_without_links_have_none_and_another_digest(tmp_path: Path) -> None:
    config = UserData(name="mine", path=Path("data.csv"), groups=("tone",), drop=("person",))
    data = load_user_dataset(config, write(tmp_path))
    assert data.splits["test"].links is None
    linked = load_user_dataset(config.model_copy(update={"links": "person", "drop": ()}), tmp_path)
    assert linked.digest != data.digest


def test_links_that_are_not_in_the_file_are_named(tmp_path: Path) -> None:
    config = UserData(name="mine", path=Path("data.csv"), links="persn")
    with pytest.raises(DataError, match="persn"):
        load_user_dataset(config, write(tmp_path))


def test_links_of_another_length_are_refused() -> None:
    with pytest.raises(DataError, match="links"):
        Split(pl.Series(["a", "b"]), np.zeros((2, 1)), np.zeros(2, dtype=np.int64), links=pl.Series(["x"]))
