"""The catalogue on the publishers' own files, against facts the publishers state."""

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from raiaudit.attacks.spaces import ImageBox, TableSchema, TokenSpace
from raiaudit.errors import UnknownNameError
from raiaudit.models.data import DATASETS, load_dataset
from raiaudit.models.data.compas import compas_scores

MIRRORED = sorted(set(DATASETS) - {"digits", "cifar10"})  # the full CIFAR-10 archive is 170 MB


@pytest.fixture
def mirror(data_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAIAUDIT_DATA", str(data_home))
    return data_home


def test_an_unknown_name_lists_the_choices() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'fashion_mnist'\?.*compas") as caught:
        load_dataset("fashionmnist")
    assert caught.value.exit_code == 2


def test_describing_a_data_set_imports_nothing_heavy_and_reads_no_image() -> None:
    code = (
        "import sys; from raiaudit.models.data import load_dataset as load;"
        "[load(name).digest for name in ('digits', 'mnist', 'cifar10', 'sst2')];"
        "print(sorted({'torch', 'sklearn', 'pandas', 'scipy', 'requests', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_digits_equal_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    dataset = load_dataset("digits")
    theirs = load_digits()
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 1097,
        "validation": 200,
        "test": 500,
    }
    for split in dataset.splits.values():
        rows = [int(name.removeprefix("digits/")) for name in split.ids]
        assert split.inputs.dtype == np.float32
        np.testing.assert_array_equal(split.inputs[:, 0] * 16, theirs.images[rows])
        np.testing.assert_array_equal(split.labels, theirs.target[rows])


def test_the_stroke_of_digits_is_the_mean_ink_against_the_training_median() -> None:
    splits = load_dataset("digits").splits
    median = np.median(splits["train"].inputs.mean(axis=(1, 2, 3)))
    for split in splits.values():
        heavy = split.inputs.mean(axis=(1, 2, 3)) >= median
        assert split.groups["stroke"].to_list() == ["heavy" if ink else "light" for ink in heavy]


@pytest.mark.parametrize("name", MIRRORED)
def test_every_data_set_keeps_the_contract(name: str, mirror: Path) -> None:
    dataset = load_dataset(name)
    again = load_dataset(name)
    assert dataset.digest == again.digest
    assert len(dataset.digest) == 64
    assert dataset.source
    assert dataset.licence
    assert tuple(dataset.splits) == ("train", "validation", "test")
    for one, other in combinations(dataset.splits.values(), 2):
        assert not set(one.ids) & set(other.ids)
    for split_name, split in dataset.splits.items():
        assert split.ids.n_unique() == len(split)
        assert split.ids.equals(again.splits[split_name].ids)
        assert set(split.labels) == set(range(len(dataset.classes)))
        assert tuple(split.groups.columns) == dataset.group_names
        assert not any(column.has_nulls() for column in split.groups.iter_columns())
        if isinstance(dataset.space, ImageBox):
            assert split.inputs.shape[1:] == dataset.space.shape
        elif isinstance(dataset.space, TableSchema):
            assert split.inputs.shape[1] == dataset.space.width
            assert np.isfinite(split.inputs).all()
        else:
            assert isinstance(dataset.space, TokenSpace)
            assert all(isinstance(text, str) for text in split.inputs)


def test_mnist_test_set_is_the_official_one(mirror: Path) -> None:
    test = load_dataset("mnist").splits["test"]
    # the class counts every description of MNIST gives
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert test.ids[17] == "test/00017"
    train = load_dataset("mnist").splits["train"]
    assert train.inputs.dtype == np.uint8
    # mean and deviation that the field normalises MNIST with
    assert train.inputs.mean() / 255 == pytest.approx(0.1307, abs=3e-4)
    assert train.inputs.std() / 255 == pytest.approx(0.3081, abs=3e-4)


def test_fashion_mnist_is_balanced(mirror: Path) -> None:
    splits = load_dataset("fashion_mnist").splits
    for name, count in (("train", 5500), ("validation", 500), ("test", 1000)):
        assert (np.bincount(splits[name].labels) == count).all()


def test_cifar10_5k_is_channels_first(mirror: Path) -> None:
    splits = load_dataset("cifar10_5k").splits
    raw = np.load(mirror / "cifar10_5k" / "cifar10_5k.npz")
    np.testing.assert_array_equal(splits["test"].inputs[5, 2], raw["x_test"][5, :, :, 2])
    row = int(splits["train"].ids[7].removeprefix("train/"))
    np.testing.assert_array_equal(splits["train"].inputs[7], raw["x_train"][row].transpose(2, 0, 1))
    assert splits["train"].labels[7] == raw["y_train"][row]


def test_adult_counts_are_those_of_its_own_description(mirror: Path) -> None:
    dataset = load_dataset("adult")
    splits = dataset.splits
    labels = np.concatenate([splits["train"].labels, splits["validation"].labels])
    assert len(labels) == 32_561
    assert len(splits["test"]) == 16_281
    assert labels.sum() == 7_841
    assert splits["test"].labels.sum() == 3_846
    schema = dataset.space
    assert isinstance(schema, TableSchema)
    columns = {column.name: column for column in schema.columns}
    assert "fnlwgt" not in columns
    assert {name for name, column in columns.items() if not column.mutable} == {
        "age",
        "race",
        "sex",
        "native-country",
    }
    assert "unknown" in columns["workclass"].categories
    first = splits["test"].inputs[0]  # 25, Private, 226802, 11th, 7, …, Black, Male, 0, 0, 40, United-States
    assert first[schema.slices["age"]] == 25
    assert first[schema.slices["education"]].argmax() == columns["education"].categories.index("11th")
    assert splits["test"].groups.row(0) == ("Male", "Black")


@pytest.mark.parametrize(
    ("race", "cells"),
    [("African-American", (1369, 805, 532, 990)), ("Caucasian", (505, 349, 461, 1139))],
)
def test_compas_decile_scores_give_propublicas_table(
    race: str, cells: tuple[int, int, int, int], mirror: Path
) -> None:
    """ProPublica's published contingency tables: true and false positives, false and true negatives."""
    scores = compas_scores()
    assert scores.shape == (7_214, 4)
    group = scores.filter(scores["race"] == race)
    high, again = (group["decile_score"] >= 5).to_numpy(), (group["two_year_recid"] == 1).to_numpy()
    found = ((high & again).sum(), (high & ~again).sum(), (~high & again).sum(), (~high & ~again).sum())
    assert found == cells


def test_compas_keeps_no_personal_column_and_no_outcome(mirror: Path) -> None:
    dataset = load_dataset("compas")
    assert isinstance(dataset.space, TableSchema)
    assert {column.name for column in dataset.space.columns} == {
        "age",
        "sex",
        "race",
        "juv_fel_count",
        "juv_misd_count",
        "juv_other_count",
        "priors_count",
        "c_charge_degree",
    }
    assert sum(len(split) for split in dataset.splits.values()) == 7_214
    assert sum(split.labels.sum() for split in dataset.splits.values()) == 3_251


@pytest.mark.parametrize(("name", "total"), [("sst2", 67_850), ("rt_polarity", 10_662)])
def test_no_text_is_in_two_splits(name: str, total: int, mirror: Path) -> None:
    splits = load_dataset(name).splits
    texts = [text for split in splits.values() for text in split.inputs]
    assert len(texts) == len(set(texts)) == total  # sst2: 66,978 distinct train phrases and 872 sentences


def test_sst2_test_is_the_official_labelled_dev_set(mirror: Path) -> None:
    test = load_dataset("sst2").splits["test"]
    assert test.inputs[0] == "it 's a charming and often affecting journey ."
    assert np.bincount(test.labels).tolist() == [428, 444]
