"""MNIST and Fashion-MNIST from their four gzipped idx files, 28×28 grey images in ten classes.

Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998, doi:10.1109/5.726791
(the idx format is described on its page); H. Xiao et al., "Fashion-MNIST", arXiv:1708.07747.
uint8 N×1×28×28. Test is the official 10,000; of the official 60,000 train images 5,000, stratified, are
validation. Group `brightness`: dark or bright (see images.py).
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from raiaudit.attacks.spaces import ImageBox
from raiaudit.errors import DataError
from raiaudit.models.data.dataset import Dataset, LazySplits, Split
from raiaudit.models.data.fetch import OfficialFile, fingerprint
from raiaudit.models.data.images import official_splits
from raiaudit.models.data.known import KNOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fashion_mnist", "mnist", "read_idx"]

_VERSION = "idx/1"
_VALIDATION = 5_000


def read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The uint8 array of a gzipped idx file, which must have exactly `shape`. Raises `DataError`."""
    header = 4 + 4 * len(shape)
    expected = header + math.prod(shape)
    try:
        with gzip.open(path) as stream:
            content = stream.read(expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"not a whole gzip file ({error})", where=str(path)) from error
    magic = bytes((0, 0, 8, len(shape)))
    if content[:4] != magic:
        raise DataError(
            f"magic number {content[:4].hex()}, expected {magic.hex()} (idx, uint8, {len(shape)} dimensions)",
            where=str(path),
        )
    dimensions = tuple(np.frombuffer(content[4:header], dtype=">u4").tolist())
    if dimensions != shape:
        raise DataError(f"dimensions {dimensions}, expected {shape}", where=str(path))
    if len(content) != expected:
        relation = "more" if len(content) > expected else "fewer"
        raise DataError(f"{relation} bytes than the header promises ({expected})", where=str(path))
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape).copy()  # torch wants to write


_SHAPES = {"train": 60_000, "t10k": 10_000}


def _files(folder: str, base: str, hashes: tuple[str, str, str, str]) -> dict[str, OfficialFile]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return {
        name: OfficialFile(f"{folder}/{name}-ubyte.gz", sha256, f"{base}/{name}-ubyte.gz")
        for name, sha256 in zip(names, hashes, strict=True)
    }


_MNIST = _files(
    "mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
)
_FASHION_MNIST = _files(
    "fashion_mnist",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
)


def _load(files: Mapping[str, OfficialFile]) -> Mapping[str, Split]:
    read = {
        part: (
            read_idx(files[f"{part}-images-idx3"].obtain(), (count, 28, 28))[:, None],
            read_idx(files[f"{part}-labels-idx1"].obtain(), (count,)).astype(np.int64),
        )
        for part, count in _SHAPES.items()
    }
    return official_splits(read["train"], read["t10k"], validation=_VALIDATION)


def _dataset(
    name: str, classes: tuple[str, ...], files: Mapping[str, OfficialFile], source: str, licence: str
) -> Dataset:
    return Dataset(
        name=name,
        modality="image",
        classes=classes,
        space=ImageBox(shape=(1, 28, 28)),
        splits=LazySplits(("train", "validation", "test"), partial(_load, files)),
        digest=fingerprint(_VERSION, *(file.sha256 for file in files.values())),
        group_names=("brightness",),
        source=source,
        licence=licence,
    )


def mnist() -> Dataset:
    """Handwritten digits, 60,000 + 10,000."""
    return _dataset(
        "mnist",
        tuple("0123456789"),
        _MNIST,
        "https://yann.lecun.com/exdb/mnist/",
        "not stated by the publisher",
    )


def fashion_mnist() -> Dataset:
    """Zalando's articles of clothing, 60,000 + 10,000."""
    classes = KNOWN["fashion_mnist"].classes
    return _dataset(
        "fashion_mnist", classes, _FASHION_MNIST, "https://github.com/zalandoresearch/fashion-mnist", "MIT"
    )
