"""Handwritten digits as scikit-learn ships them: 1,797 images, 1×8×8, the embedded default data set.

E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI 1998, doi:10.24432/C50P49 (the
part scikit-learn bundles). float32 in [0, 1]: the file's counts 0..16 divided by 16. Test 500,
validation 200, train 1,097, stratified by label. Group `stroke`: light or heavy ink, below or above
the training median of mean intensity (a stand-in for a sensitive attribute; see images.py).
The file is read from the installed distribution; scikit-learn itself is not imported.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from raiaudit.attacks.spaces import ImageBox
from raiaudit.errors import DataError
from raiaudit.models.data.dataset import Dataset, LazySplits, Split
from raiaudit.models.data.fetch import fingerprint, sha256_file
from raiaudit.models.data.images import intensity_splits
from raiaudit.models.data.splitting import stratified

__all__ = ["digits"]

_VERSION = "digits/1"
_TEST, _VALIDATION, _SEED = 500, 200, 0


def _file() -> Path:
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError(
            "scikit-learn, which holds the digits, is not installed", remedy="pip install scikit-learn"
        )
    path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not path.is_file():
        raise DataError(
            "this scikit-learn does not hold the digits", where=str(path), remedy="reinstall scikit-learn"
        )
    return path


def _load() -> Mapping[str, Split]:
    path = _file()
    with gzip.open(path, "rt") as stream:
        table = np.loadtxt(stream, delimiter=",", dtype=np.int64)
    if table.shape != (1797, 65):
        raise DataError(f"expected 1797 rows of 65 values, found {table.shape}", where=str(path))
    images = (table[:, :64].reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    labels = table[:, 64]
    index = stratified(labels, {"test": _TEST, "validation": _VALIDATION}, rest="train", seed=_SEED)
    return intensity_splits(
        {
            name: ([f"digits/{row:05d}" for row in index[name]], images[index[name]], labels[index[name]])
            for name in ("train", "validation", "test")
        },
        group="stroke",
        levels=("light", "heavy"),
    )


def digits() -> Dataset:
    """The data set; the file is read on first use of a split."""
    return Dataset(
        name="digits",
        modality="image",
        classes=tuple("0123456789"),
        space=ImageBox(shape=(1, 8, 8)),
        splits=LazySplits(("train", "validation", "test"), _load),
        digest=fingerprint(_VERSION, sha256_file(_file())),
        group_names=("stroke",),
        source="https://archive.ics.uci.edu/dataset/80 (as bundled with scikit-learn)",
        licence="CC BY 4.0",
    )
