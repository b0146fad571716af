"""Sentiment of English sentences, negative or positive: SST-2 and the RT polarity sentences.

SST-2: R. Socher et al., EMNLP 2013, https://aclanthology.org/D13-1170, as distributed by GLUE
(arXiv:1804.07461).
Train and validation (2,000, stratified) come from train.tsv, whose rows are phrases cut from movie
reviews, so validation shares parent sentences with train; test is the official labelled dev.tsv (872
whole sentences, none of them in train.tsv), the split on which the field reports. GLUE's own test
labels are not published.
RT polarity: B. Pang, L. Lee, "Seeing stars", ACL 2005, https://aclanthology.org/P05-1015; 10,662 sentences,
seeded and stratified: 2,000 test, 1,000 validation.
Texts are stripped of outer blanks. A text that occurs twice stays only where it came first, so no
text is in two splits; its label is the first one's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from raiaudit.attacks.spaces import TokenSpace
from raiaudit.errors import DataError
from raiaudit.models.data.dataset import Dataset, LazySplits, Split
from raiaudit.models.data.fetch import OfficialFile, fingerprint
from raiaudit.models.data.splitting import stratified

__all__ = ["rt_polarity", "sst2"]

_VERSION = "sentiment/1"
_GLUE = "https://dl.fbaipublicfiles.com/glue/data/SST-2.zip"
_SST2_TRAIN = OfficialFile(
    "text/sst2/train.tsv",
    "48eac26399f8456935f81dd9e3a745c1430adb6c62e233ccfe22db4a0d15d1d1",
    _GLUE,
    member="SST-2/train.tsv",
)
_SST2_DEV = OfficialFile(
    "text/sst2/dev.tsv",
    "54a9c12c77e402fc14d6a66a506f24d999f596b0176eb777c972cccc2f9cc4b0",
    _GLUE,
    member="SST-2/dev.tsv",
)
_CORNELL = "https://www.cs.cornell.edu/people/pabo/movie-review-data/rt-polaritydata.tar.gz"
_RT_NEGATIVE = OfficialFile(
    "text/rt_polarity/rt-polarity.neg",
    "2d11cfbc790f1cd96d78339f41ce53ced1efa83cd22d37d6788fa3fe3d17e2fd",
    _CORNELL,
    member="rt-polaritydata/rt-polarity.neg",
    encoding="cp1252",
)
_RT_POSITIVE = OfficialFile(
    "text/rt_polarity/rt-polarity.pos",
    "4134882974a28d0c7b5151256f0e33a6169984ee7372c279e673f1114f475d58",
    _CORNELL,
    member="rt-polaritydata/rt-polarity.pos",
    encoding="cp1252",
)

Row = tuple[str, str, int]
"""id, text, label."""


def _lines(path: Path) -> list[str]:
    # not splitlines(), which also breaks at Unicode's other line separators
    return path.read_bytes().decode("utf-8").removesuffix("\n").split("\n")


def _glue(file: OfficialFile, prefix: str) -> list[Row]:
    path = file.obtain()
    rows: list[Row] = []
    for number, line in enumerate(_lines(path)[1:]):
        text, tab, label = line.partition("\t")
        if not tab or label not in {"0", "1"}:
            raise DataError("expected a sentence, a tab, and 0 or 1", where=f"{path}, row {number + 1}")
        rows.append((f"{prefix}/{number:05d}", text.strip(), int(label)))
    return rows


def _split(rows: Sequence[Row]) -> Split:
    ids, texts, labels = zip(*rows, strict=True)
    return Split(pl.Series("id", ids), list(texts), np.array(labels, dtype=np.int64))


def _carve(rows: Sequence[Row], sizes: Mapping[str, int]) -> dict[str, Split]:
    first = list({row[1]: row for row in reversed(rows)}.values())[::-1]
    index = stratified(np.array([label for _, _, label in first]), sizes, rest="train", seed=0)
    return {name: _split([first[row] for row in part]) for name, part in index.items()}


def _load_sst2() -> dict[str, Split]:
    test = _glue(_SST2_DEV, "dev")
    held_out = {text for _, text, _ in test}
    train = [row for row in _glue(_SST2_TRAIN, "train") if row[1] not in held_out]
    return {**_carve(train, {"validation": 2_000}), "test": _split(test)}


def _load_rt_polarity() -> dict[str, Split]:
    rows = [
        (f"{prefix}/{number:05d}", text.strip(), label)
        for label, (prefix, file) in enumerate((("neg", _RT_NEGATIVE), ("pos", _RT_POSITIVE)))
        for number, text in enumerate(_lines(file.obtain()))
    ]
    return _carve(rows, {"test": 2_000, "validation": 1_000})


def _dataset(
    name: str, files: Sequence[OfficialFile], load: Callable[[], Mapping[str, Split]], source: str
) -> Dataset:
    return Dataset(
        name=name,
        modality="text",
        classes=("negative", "positive"),
        space=TokenSpace(vocabulary=8000, max_length=64),
        splits=LazySplits(("train", "validation", "test"), load),
        digest=fingerprint(_VERSION, *(file.sha256 for file in files)),
        source=source,
        licence="not stated by the publisher",
    )


def sst2() -> Dataset:
    """Stanford Sentiment Treebank, two classes; see the module for what each split is."""
    return _dataset("sst2", (_SST2_TRAIN, _SST2_DEV), _load_sst2, "https://gluebenchmark.com")


def rt_polarity() -> Dataset:
    """Sentences of movie reviews; the publisher's files are cp1252, ours UTF-8."""
    source = "https://www.cs.cornell.edu/people/pabo/movie-review-data/"
    return _dataset("rt_polarity", (_RT_NEGATIVE, _RT_POSITIVE), _load_rt_polarity, source)
