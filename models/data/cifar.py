"""CIFAR-10: 32×32 colour images in ten classes, from the official python batches or a 5,000-image subset.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009,
https://www.cs.toronto.edu/~kriz/cifar.html. uint8 N×3×32×32. The batches are pickles, which could run
code, so they are read by an unpickler that resolves three names of numpy to inert stand-ins and
refuses every other (`ArtifactRefusedError`); nothing is unpacked to disk.
Test is the official one; validation is held out of the official train set, stratified. Group
`brightness`: dark or bright (see images.py).
"""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raiaudit.attacks.spaces import ImageBox
from raiaudit.errors import ArtifactRefusedError, DataError
from raiaudit.models.data.arrays import read_npz
from raiaudit.models.data.dataset import Dataset, LazySplits, Split
from raiaudit.models.data.fetch import OfficialFile, fingerprint
from raiaudit.models.data.images import official_splits
from raiaudit.models.data.known import KNOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["cifar10", "cifar10_5k", "read_batches"]

_VERSION = "cifar10/1"
_FULL = OfficialFile(
    "cifar10/cifar-10-python.tar.gz",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
_SUBSET = OfficialFile(
    "cifar10_5k/cifar10_5k.npz", "5e81f99fe5af185b32d0cb5efbf72c956a858f8e684fdfba6995f9e197878f5c", None
)
_CLASSES = KNOWN["cifar10"].classes
_MAX_BATCH = 64 * 2**20
_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = "test_batch"

Batch = tuple["NDArray[np.uint8]", "NDArray[np.int64]"]


class _Inert:
    """Stands for a numpy class: keeps what the pickle hands it and does nothing."""

    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _BatchUnpickler(pickle.Unpickler):
    def __init__(self, content: bytes, where: str) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self._where = where

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }:
            return _Inert
        raise ArtifactRefusedError(
            f"the pickle asks for {module}.{name}, which a CIFAR-10 batch never does",
            where=self._where,
            remedy="delete the file; the official archive comes from www.cs.toronto.edu/~kriz/cifar.html",
        )


def _decode(content: bytes, where: str) -> Batch:
    try:
        batch = _BatchUnpickler(content, where).load()
        # numpy's array state: (version, shape, dtype, Fortran order, bytes)
        _, shape, dtype, fortran, raw = batch[b"data"].state
        labels_N = np.array(batch[b"labels"], dtype=np.int64)
        if dtype.arguments[0] != b"u1" or fortran or shape != (len(labels_N), 3072):
            raise ValueError(f"array of {dtype.arguments[0]!r} and shape {shape}")
        images = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 3, 32, 32)
        if len(images) != len(labels_N) or not np.isin(labels_N, range(10)).all():
            raise ValueError("images and labels do not match")
    except ArtifactRefusedError:
        raise
    except Exception as error:  # a broken pickle may raise anything
        raise DataError(f"not a CIFAR-10 batch ({type(error).__name__}: {error})", where=where) from error
    return images, labels_N


def read_batches(archive: Path) -> tuple[Batch, Batch]:
    """Train and test images N×3×32×32 with their labels, from the official tar.gz."""
    found: dict[str, Batch] = {}
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for entry in tar:
                name = Path(entry.name).name
                if name not in (*_TRAIN, _TEST) or not entry.isreg():
                    continue
                where = f"{archive}, member {entry.name}"
                if entry.size > _MAX_BATCH:
                    raise DataError(f"{entry.size:,} bytes; a batch has about 31 million", where=where)
                stream = tar.extractfile(entry)
                assert stream is not None
                found[name] = _decode(stream.read(), where)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"not a readable tar.gz ({error})", where=str(archive)) from error
    if missing := [name for name in (*_TRAIN, _TEST) if name not in found]:
        raise DataError(f"no member {', '.join(missing)}", where=str(archive))
    images, labels = zip(*(found[name] for name in _TRAIN), strict=True)
    return (np.concatenate(images), np.concatenate(labels)), found[_TEST]


def _load_full() -> Mapping[str, Split]:
    train, test = read_batches(_FULL.obtain())
    return official_splits(train, test, validation=5_000)


def _load_subset() -> Mapping[str, Split]:
    arrays = read_npz(_SUBSET.obtain(), ("x_train", "y_train", "x_test", "y_test"))
    train, test = (
        (
            np.ascontiguousarray(arrays[f"x_{part}"].transpose(0, 3, 1, 2)),
            arrays[f"y_{part}"].astype(np.int64),
        )
        for part in ("train", "test")
    )
    return official_splits(train, test, validation=500)


def _dataset(name: str, file: OfficialFile, splits: LazySplits) -> Dataset:
    return Dataset(
        name=name,
        modality="image",
        classes=_CLASSES,
        space=ImageBox(shape=(3, 32, 32)),
        splits=splits,
        digest=fingerprint(_VERSION, name, file.sha256),
        group_names=("brightness",),
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
        licence="not stated by the publisher",
    )


def cifar10() -> Dataset:
    """The whole set: train 45,000, validation 5,000, test 10,000."""
    return _dataset("cifar10", _FULL, LazySplits(("train", "validation", "test"), _load_full))


def cifar10_5k() -> Dataset:
    """The first 4,000 train (3,500 and 500 validation) and first 1,000 test images, for quick experiments."""
    return _dataset("cifar10_5k", _SUBSET, LazySplits(("train", "validation", "test"), _load_subset))
