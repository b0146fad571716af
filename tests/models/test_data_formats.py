"""The binary formats we parse ourselves: idx, CIFAR's pickles, npz; whole, damaged and hostile."""

import gzip
import io
import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raiaudit.errors import ArtifactRefusedError, DataError
from raiaudit.models.data import arrays as arrays_module
from raiaudit.models.data.arrays import npz_keys, read_npz
from raiaudit.models.data.cifar import read_batches
from raiaudit.models.data.idx import read_idx

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def idx(array: np.ndarray[Any, Any], magic: bytes | None = None) -> bytes:
    header = magic or bytes((0, 0, 8, array.ndim))
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def test_idx_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx(IMAGES)))
    np.testing.assert_array_equal(read_idx(path, (2, 3, 4)), IMAGES)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (gzip.compress(idx(IMAGES, bytes((0, 0, 13, 3)))), "magic number 00000d03"),
        (gzip.compress(idx(IMAGES[:, :2])), r"dimensions \(2, 2, 4\), expected \(2, 3, 4\)"),
        (gzip.compress(idx(IMAGES)[:-1]), "fewer bytes"),
        (gzip.compress(idx(IMAGES) + b"x"), "more bytes"),
        (gzip.compress(idx(IMAGES))[:-9], "not a whole gzip"),
        (idx(IMAGES), "not a whole gzip"),
        (gzip.compress(bytes(100_000_000)), "magic number"),
    ],
    ids=["type", "shape", "short", "long", "cut", "raw", "bomb"],  # gzip's bytes hold the time of day
)
def test_a_damaged_idx_file_is_named(content: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=problem) as caught:
        read_idx(path, (2, 3, 4))
    assert caught.value.where == str(path)


def text(content: bytes) -> bytes:
    return pickle.BINSTRING + struct.pack("<i", len(content)) + content


def integers(*values: int) -> bytes:
    return b"".join(pickle.BININT + struct.pack("<i", value) for value in values)


def batch(data: np.ndarray[Any, Any], labels: list[int]) -> bytes:
    """A batch as Python 2 pickled it (protocol 2), opcode by opcode."""
    code = data.dtype.str.lstrip("|<").encode()
    dtype = b"cnumpy\ndtype\n" + text(code) + integers(0, 1) + b"\x87R"
    dtype += b"(" + integers(3) + text(b"|") + b"NNN" + integers(-1, -1, 0) + b"tb"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        + integers(0)
        + b"\x85"
        + text(b"b")
        + b"\x87R"
    )
    array += (
        b"("
        + integers(1)
        + b"("
        + integers(*data.shape)
        + b"t"
        + dtype
        + b"\x89"
        + text(data.tobytes())
        + b"tb"
    )
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + b"](" + integers(*labels) + b"eu."


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_hand_written_batch_is_one_to_numpy_too() -> None:
    data = np.random.default_rng(1).integers(0, 256, (4, 3072), dtype=np.uint8)
    found = pickle.loads(batch(data, [1, 2, 3, 4]), encoding="bytes")
    np.testing.assert_array_equal(found[b"data"], data)
    assert found[b"labels"] == [1, 2, 3, 4]


def cifar_archive(path: Path, **replaced: bytes) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    data = {}
    with tarfile.open(path, "w:gz") as tar:
        for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
            data[name] = rng.integers(0, 256, (4, 3072), dtype=np.uint8)
            content = replaced.get(name, batch(data[name], [0, 9, 3, 4]))
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return data


def test_cifar_batches_are_read_without_unpickling_a_class(tmp_path: Path) -> None:
    data = cifar_archive(tmp_path / "cifar.tar.gz")
    (train, labels), (test, _) = read_batches(tmp_path / "cifar.tar.gz")
    assert train.shape == (20, 3, 32, 32)
    assert labels.tolist() == [0, 9, 3, 4] * 5
    # the first 1,024 bytes of a row are the red plane, row by row
    assert train[4, 0, 1, 2] == data["data_batch_2"][0, 32 + 2]
    np.testing.assert_array_equal(test.reshape(4, -1), data["test_batch"])


class _Hostile:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_a_cifar_batch_that_would_run_code_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "proof"
    hostile = pickle.dumps({"data": _Hostile(target)}, protocol=2)
    cifar_archive(tmp_path / "cifar.tar.gz", data_batch_3=hostile)
    with pytest.raises(ArtifactRefusedError, match=r"mkdir") as caught:
        read_batches(tmp_path / "cifar.tar.gz")
    assert caught.value.exit_code == 4
    assert "data_batch_3" in str(caught.value)
    assert not target.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02",
        pickle.dumps([1, 2], protocol=2),
        batch(np.zeros((4, 3072), np.uint16), [0] * 4),
        batch(np.zeros((4, 3072), np.uint8), [0, 1, 2, 10]),
        batch(np.zeros((4, 3072), np.uint8), [0, 1]),
    ],
)
def test_a_damaged_cifar_batch_is_named(content: bytes, tmp_path: Path) -> None:
    cifar_archive(tmp_path / "cifar.tar.gz", test_batch=content)
    with pytest.raises(DataError, match="not a CIFAR-10 batch") as caught:
        read_batches(tmp_path / "cifar.tar.gz")
    assert "test_batch" in str(caught.value)


def test_a_truncated_cifar_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cifar.tar.gz"
    cifar_archive(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match=r"cifar\.tar\.gz"):
        read_batches(path)


def test_npz_arrays_come_back(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=IMAGES, names=np.array(["a", "bc"]))
    found = read_npz(tmp_path / "a.npz", ("x", "names"))
    np.testing.assert_array_equal(found["x"], IMAGES)
    assert found["names"].tolist() == ["a", "bc"]
    assert npz_keys(tmp_path / "a.npz") == ("x", "names")


def test_an_object_array_is_refused_unread(tmp_path: Path) -> None:
    target = tmp_path / "proof"
    np.savez(tmp_path / "a.npz", x=np.array([_Hostile(target)], dtype=object))
    with pytest.raises(ArtifactRefusedError, match="could run code"):
        read_npz(tmp_path / "a.npz", ("x",))
    assert not target.exists()


def npz_with(path: Path, npy: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("x.npy", npy)


def test_a_header_that_promises_too_much_allocates_nothing(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 10**3)}
    )
    npz_with(tmp_path / "a.npz", buffer.getvalue())
    with pytest.raises(DataError, match="more than the file holds"):
        read_npz(tmp_path / "a.npz", ("x",))


def test_a_zip_bomb_is_refused_by_its_declared_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(10_000_000, np.uint8))
    assert (tmp_path / "a.npz").stat().st_size < 100_000
    monkeypatch.setattr(arrays_module, "_MAX_BYTES", 9_000_000)
    with pytest.raises(DataError, match="unpack to 10,000"):
        read_npz(tmp_path / "a.npz", ("x",))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"\x93NUMPY"])
def test_what_is_no_npz_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz: not a readable npz"):
        read_npz(tmp_path / "a.npz", ("x",))


def test_a_flipped_byte_in_an_npz_is_found(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=IMAGES)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(IMAGES.tobytes())] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match="CRC"):
        read_npz(tmp_path / "a.npz", ("x",))


def test_a_missing_array_lists_those_there_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=IMAGES)
    with pytest.raises(DataError, match="it has x_train"):
        read_npz(tmp_path / "a.npz", ("x_test",))
