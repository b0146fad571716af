"""Stratified splits: an exact partition, sizes as asked, every prefix fair, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raiaudit.models.data.splitting import stratified


@given(
    labels=st.lists(st.integers(0, 4), min_size=10, max_size=200),
    test=st.integers(1, 4),
    validation=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_the_splits_are_a_partition_of_the_sizes_asked_for(
    labels: list[int], test: int, validation: int, seed: int
) -> None:
    index = stratified(np.array(labels), {"test": test, "validation": validation}, rest="train", seed=seed)
    assert {name: len(rows) for name, rows in index.items()} == {
        "test": test,
        "validation": validation,
        "train": len(labels) - test - validation,
    }
    assert sorted(np.concatenate(list(index.values()))) == list(range(len(labels)))


@given(
    sizes=st.lists(st.integers(1, 120), min_size=2, max_size=5),
    seed=st.integers(0, 1000),
    cut=st.floats(0.01, 0.99),
)
def test_every_prefix_holds_each_class_in_proportion(sizes: list[int], seed: int, cut: float) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    order = stratified(labels, {}, rest="train", seed=seed)["train"]
    prefix = max(1, round(cut * len(labels)))
    share = prefix / len(labels)
    for label, size in enumerate(sizes):
        # half an example from each class's own rounding and from where the cut falls among the others
        assert abs((labels[order[:prefix]] == label).sum() - share * size) <= 1.5


def test_the_seed_decides_the_split() -> None:
    labels = np.repeat([0, 1], 50)
    first, again, other = (
        stratified(labels, {"test": 20}, rest="train", seed=seed)["test"] for seed in (3, 3, 4)
    )
    assert (first == again).all()
    assert set(first) != set(other)


def test_nothing_left_for_the_rest_is_refused() -> None:
    with pytest.raises(ValueError, match="leave nothing"):
        stratified(np.zeros(5, dtype=np.int64), {"test": 5}, rest="train", seed=0)
