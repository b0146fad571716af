"""Folders of images by class: labels are the folders' names, and the digest knows them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raiaudit.errors import DataError
from raiaudit.models.data import UserData, load_user_dataset
from raiaudit.models.data.dataset import Dataset


def paint(folder: Path, count: int, *, value: int) -> None:
    folder.mkdir(parents=True)
    for row in range(count):
        Image.fromarray(np.full((5, 4), value + row, dtype=np.uint8)).save(folder / f"{row}.png")


def load(folder: Path, **settings: object) -> Dataset:
    return load_user_dataset(UserData(name="pets", path=folder, **settings), folder.parent)  # type: ignore[arg-type]  # any option


def test_the_classes_are_the_folders_and_ids_the_paths(tmp_path: Path) -> None:
    paint(tmp_path / "pets" / "dog", 12, value=100)
    paint(tmp_path / "pets" / "cat", 12, value=0)
    (tmp_path / "pets" / "cat" / "Thumbs.db").write_bytes(b"no image")
    (tmp_path / "pets" / "cat" / ".hidden.png").write_bytes(b"no image")
    dataset = load(tmp_path / "pets")
    assert dataset.classes == ("cat", "dog")
    assert sum(len(split) for split in dataset.splits.values()) == 24
    for split in dataset.splits.values():
        for name, image, label in zip(split.ids, split.inputs, split.labels, strict=True):
            assert name.startswith(dataset.classes[label] + "/")
            assert (image[0, 0, 0] >= 100) == (dataset.classes[label] == "dog")


def test_folders_of_splits_are_the_splits(tmp_path: Path) -> None:
    for split, count in (("train", 8), ("val", 3), ("test", 4)):
        for kind, value in (("cat", 0), ("dog", 100)):
            paint(tmp_path / "pets" / split / kind, count, value=value)
    dataset = load(tmp_path / "pets")
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 16,
        "validation": 6,
        "test": 8,
    }
    assert all(name.startswith("val/") for name in dataset.splits["validation"].ids)


def test_an_image_in_another_folder_is_another_data_set(tmp_path: Path) -> None:
    for name in ("pets", "same"):
        paint(tmp_path / name / "cat", 10, value=0)
        paint(tmp_path / name / "dog", 10, value=100)
    before = load(tmp_path / "pets").digest
    assert load(tmp_path / "same").digest == before
    (tmp_path / "same" / "cat" / "3.png").rename(tmp_path / "same" / "dog" / "a3.png")
    assert load(tmp_path / "same").digest != before


def test_links_are_no_images_and_no_class_is_an_error(tmp_path: Path) -> None:
    paint(tmp_path / "elsewhere", 5, value=7)
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets" / "cat").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"metadata\.csv"):
        load(tmp_path / "pets")
    paint(tmp_path / "pets" / "dog", 5, value=7)
    with pytest.raises(DataError, match="a single class"):
        load(tmp_path / "pets")


def test_a_folder_with_nothing_to_read_says_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    Image.new("L", (4, 5)).save(tmp_path / "pets" / "cat" / "1.gif")
    with pytest.raises(DataError, match=r"neither a metadata\.csv nor folders with images"):
        load(tmp_path / "pets")
