"""Images left on disk: the same pixels, splits and weights as from memory, and memory that stays flat."""

import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from raiaudit.attacks.spaces import ImageBox
from raiaudit.audit.privacy.inference.pool import joined
from raiaudit.errors import DataError, UsageError
from raiaudit.models.architectures import normalization
from raiaudit.models.architectures.normalization import Standardization
from raiaudit.models.data import streamed as streamed_module
from raiaudit.models.data import user_content
from raiaudit.models.data.dataset import Dataset, Split, is_streamed, take
from raiaudit.models.data.streamed import StreamedImages
from raiaudit.models.data.user import UserData
from raiaudit.models.data.user_dataset import load_user_dataset
from raiaudit.models.data.user_images import Layout
from raiaudit.models.recipe import Recipe
from raiaudit.models.training import train


def folder(path: Path, images: list[NDArray[np.uint8]]) -> None:
    """Images as PNG, two classes by turns."""
    path.mkdir()
    lines = ["file_name,label"]
    for row, image in enumerate(images):
        Image.fromarray(image).save(path / f"{row}.png", compress_level=1)
        lines.append(f"{row}.png,{('cat', 'dog')[row % 2]}")
    (path / "metadata.csv").write_text("\n".join(lines) + "\n")


def noise(n: int, *shape: int) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape).astype(np.uint8) for _ in range(n)]


def load(base: Path, **settings: Any) -> Dataset:
    return load_user_dataset(UserData(name="pets", path=Path("pets"), **settings), base)


@pytest.fixture
def both(tmp_path: Path) -> tuple[Dataset, Dataset]:
    """The same folder held in memory and left on disk."""
    folder(tmp_path / "pets", noise(60, 6, 5, 3))
    return load(tmp_path, stream=False), load(tmp_path, stream=True)


@pytest.fixture
def pair(both: tuple[Dataset, Dataset]) -> tuple[NDArray[np.uint8], StreamedImages]:
    held, streamed = (dataset.splits["train"].inputs for dataset in both)
    return held, streamed


def test_the_data_set_is_the_same_but_for_where_the_pixels_are(both: tuple[Dataset, Dataset]) -> None:
    held, streamed = both
    assert held.digest == streamed.digest
    assert held.space == streamed.space
    for name, split in held.splits.items():
        other = streamed.splits[name]
        assert isinstance(split.inputs, np.ndarray)
        assert is_streamed(other.inputs)
        assert other.inputs.shape == split.inputs.shape
        assert (other.inputs.dtype, other.inputs.ndim) == (split.inputs.dtype, split.inputs.ndim)
        assert other.ids.to_list() == split.ids.to_list()
        np.testing.assert_array_equal(np.asarray(other.inputs), split.inputs)


@pytest.mark.parametrize(
    "index",
    [
        slice(3, 30, 4),
        slice(None, None, -1),
        slice(5, 5),
        np.array([7, 0, 7, -1]),
        [2, 3],
        np.arange(42) % 5 == 0,
        4,
        np.int64(-2),
    ],
    ids=str,
)
def test_an_index_gives_what_numpy_gives(index: Any, pair: tuple[NDArray[np.uint8], StreamedImages]) -> None:
    held, streamed = pair
    assert len(held) == 42
    found = streamed[index]
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, held[index])


def test_rows_of_rows_stay_on_disk(
    both: tuple[Dataset, Dataset], pair: tuple[NDArray[np.uint8], StreamedImages], monkeypatch: Any
) -> None:
    held, streamed = pair
    with monkeypatch.context() as patch:
        patch.setattr(streamed_module, "decode", lambda *_: pytest.fail("an image was read"))
        some = both[1].splits["train"].take(slice(10, 40)).take(np.array([5, 1, 20])).inputs
        two = take(streamed.followed_by(some), np.array([43, 0]))
        travelled = pickle.loads(pickle.dumps(two))
    np.testing.assert_array_equal(np.asarray(some), held[[15, 11, 30]])
    np.testing.assert_array_equal(np.asarray(travelled), held[[11, 0]])


def test_what_looks_at_whole_splits_finds_the_same(
    both: tuple[Dataset, Dataset], pair: tuple[NDArray[np.uint8], StreamedImages], monkeypatch: Any
) -> None:
    held, streamed = pair
    monkeypatch.setattr(streamed_module, "_CHUNK", 500)
    np.testing.assert_array_equal(streamed.mean_image, held.mean(axis=0, dtype=np.float64))
    fitted = []
    for inputs in pair:
        standardize = Standardization((3, 1, 1))
        standardize.fit_images(inputs, "train")  # type: ignore[arg-type]
        fitted.append(torch.stack([standardize.mean, standardize.std]))
    assert torch.equal(*fitted)
    pools = [joined(dataset.splits["train"], dataset.splits["test"]) for dataset in both]
    assert is_streamed(pools[1].inputs)
    np.testing.assert_array_equal(np.asarray(pools[1].inputs), pools[0].inputs)


@pytest.mark.parametrize("augment", ["none", "crop-flip"])
def test_training_gives_the_same_weights(augment: Any, both: tuple[Dataset, Dataset]) -> None:
    recipe = Recipe(architecture="mlp", options={"hidden": 8}, epochs=2, batch_size=16, augment=augment)
    rows = np.arange(1, 40)
    held, streamed = (train(recipe, dataset, seed=0, indices=rows).record for dataset in both)
    assert held.weights_digest == streamed.weights_digest
    assert held.metrics == streamed.metrics


def test_streaming_begins_where_memory_would_end(tmp_path: Path, monkeypatch: Any) -> None:
    folder(tmp_path / "pets", noise(20, 6, 5, 3))  # 20 images of 90 bytes
    assert not is_streamed(load(tmp_path).splits["train"].inputs)
    monkeypatch.setattr(user_content, "_HELD", 1799)
    assert is_streamed(load(tmp_path).splits["train"].inputs)
    assert not is_streamed(load(tmp_path, stream=False).splits["train"].inputs)
    monkeypatch.setattr(streamed_module, "_MOST_AT_ONCE", 1000)
    with pytest.raises(DataError, match="1,800 bytes"):
        load(tmp_path, stream=False)
    split = load(tmp_path).splits["train"]
    with pytest.raises(DataError, match="1,260 bytes"):
        np.asarray(split.inputs)
    assert np.asarray(split.take(slice(11)).inputs).nbytes == 990


def test_a_damaged_image_in_the_middle_is_named_with_its_row(tmp_path: Path) -> None:
    folder(tmp_path / "pets", noise(30, 6, 5, 3))
    path = tmp_path / "pets" / "17.png"
    path.write_bytes(path.read_bytes()[:-60])
    images = load(tmp_path, stream=True, test_fraction=0.1).splits["train"].inputs  # its header is whole
    with pytest.raises(DataError, match=r"17\.png \(metadata\.csv, row 18\): the image is damaged"):
        images[:]


@pytest.mark.parametrize("stream", [True, False])
def test_an_image_that_does_not_fit_stops_before_training(stream: bool, tmp_path: Path) -> None:
    folder(tmp_path / "pets", noise(30, 6, 5, 3))
    Image.new("RGB", (7, 6)).save(tmp_path / "pets" / "17.png")
    dataset = load(tmp_path, stream=stream)
    with pytest.raises(DataError, match=r"row 18\): .* is \(3, 6, 7\), but \(3, 6, 5\)"):
        dataset.splits["train"]
    assert load(tmp_path, stream=stream, size=(6, 5)).splits["train"].inputs[:].shape == (21, 3, 6, 5)


@pytest.mark.parametrize("stream", [True, False])
def test_images_of_any_size_are_scaled_to_one(stream: bool, tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 64)
    images = [np.tile(ramp[:: 64 // width], (3 * (i + 1), 1)) for i, width in enumerate((64, 32, 16))] * 4
    folder(tmp_path / "pets", [image.round().astype(np.uint8) for image in images])
    dataset = load(tmp_path, size=(4, 8), stream=stream)
    assert dataset.space == ImageBox((1, 4, 8))
    x = np.concatenate([np.asarray(split.inputs) for split in dataset.splits.values()])
    assert x.shape == (12, 1, 4, 8)
    # A ramp stays that ramp at any size, in the middle of the columns; the borders have less to look at.
    expected = (np.arange(8) + 0.5) / 8 * 255
    assert np.abs(x[..., 1:-1] - expected[1:-1]).max() < 16


def test_scaling_down_does_not_alias(tmp_path: Path) -> None:
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (32, 16))  # one pixel black, one white
    folder(tmp_path / "pets", [stripes] * 12)
    x = load(tmp_path, size=(4, 4)).splits["train"].inputs
    area = functional.avg_pool2d(torch.from_numpy(stripes)[None].float(), 8)
    assert np.abs(x[0] - area.numpy()).max() <= 8


def test_the_size_is_part_of_the_data_and_the_way_to_read_is_not(tmp_path: Path) -> None:
    folder(tmp_path / "pets", noise(20, 6, 5, 3))
    digests = [load(tmp_path, **settings).digest for settings in ({}, {"stream": True}, {"size": (3, 3)})]
    assert digests[0] == digests[1] != digests[2]


def test_tables_have_nothing_to_stream(tmp_path: Path) -> None:
    (tmp_path / "pets").write_text("x,label\n" + "1,a\n2,b\n" * 10)
    for setting in ({"stream": True}, {"size": (3, 3)}):
        with pytest.raises(UsageError, match="for a folder of images, not for csv"):
            load(tmp_path, format="csv", **setting)


def test_memory_is_that_of_a_batch_however_many_images(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(normalization, "_CHUNK_VALUES", 2**14)  # as few images as there are of large ones
    (image,) = noise(1, 32, 32, 3)
    Image.fromarray(image).save(tmp_path / "0.png", compress_level=1)
    n = 1500
    images = StreamedImages([tmp_path / "0.png"] * n, [""] * n, Layout((3, 32, 32)))
    labels = np.arange(n) % 2
    split = Split(pl.Series(map(str, range(n))), images, labels)
    splits = {"train": split, "validation": split.take(slice(50))}  # of which the watched images are kept
    data = Dataset("same", "image", ("a", "b"), ImageBox((3, 32, 32)), splits, "0" * 64)
    recipe = Recipe(architecture="mlp", options={"hidden": 4}, epochs=1, batch_size=32)
    train(recipe, data, seed=0, indices=np.arange(128))  # what is imported and kept once
    tracemalloc.start()  # sees what numpy holds: every decoded image
    train(recipe, data, seed=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert images.nbytes > 4.6e6
    assert peak < images.nbytes / 4
