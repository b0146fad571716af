"""Adult (census income): does a person earn more than 50,000 dollars a year? 32,561 + 16,281 rows.

B. Becker, R. Kohavi, "Adult", UCI 1996, doi:10.24432/C5XW20. Test is the official adult.test; 3,000 rows
of adult.data, stratified, are validation. `fnlwgt` is dropped: it is the weight of the census sample, no
attribute of the person. "?" is the level "unknown". Groups `sex` and `race` are also features, as in
the file, and together with age and native-country are immutable: an adversary cannot change them.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from raiaudit.errors import DataError
from raiaudit.models.data.dataset import Dataset, LazySplits, Split
from raiaudit.models.data.fetch import OfficialFile, fingerprint
from raiaudit.models.data.splitting import stratified
from raiaudit.models.data.tables import encode, fit_schema, group_frame

__all__ = ["adult"]

_VERSION = "adult/1"
_BASE = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult"
_TRAIN = OfficialFile(
    "adult/adult.data",
    "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    f"{_BASE}/adult.data",
)
_TEST = OfficialFile(
    "adult/adult.test",
    "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
    f"{_BASE}/adult.test",
)
_CLASSES = ("<=50K", ">50K")
_GROUPS = ("sex", "race")
_IMMUTABLE = ("age", "sex", "race", "native-country")
_SCHEMA: dict[str, type[pl.DataType]] = {
    "age": pl.Int64,
    "workclass": pl.String,
    "fnlwgt": pl.Int64,
    "education": pl.String,
    "education-num": pl.Int64,
    "marital-status": pl.String,
    "occupation": pl.String,
    "relationship": pl.String,
    "race": pl.String,
    "sex": pl.String,
    "capital-gain": pl.Int64,
    "capital-loss": pl.Int64,
    "hours-per-week": pl.Int64,
    "native-country": pl.String,
    "income": pl.String,
}


def _read(path: Path) -> pl.DataFrame:
    """Rows of one official file. adult.test opens with a comment and ends its labels with a full stop."""
    frame = pl.read_csv(
        path, has_header=False, comment_prefix="|", new_columns=list(_SCHEMA), infer_schema=False
    )
    frame = frame.drop_nulls("age").with_columns(pl.all().str.strip_chars()).cast(pl.Schema(_SCHEMA))
    frame = frame.with_columns(pl.col(pl.String).replace("?", None))
    frame = frame.with_columns(pl.col("income").str.strip_suffix("."))
    if unexpected := set(frame["income"].unique()) - set(_CLASSES):
        raise DataError(f"label outside the classes: {unexpected}", where=f"{path}, column 'income'")
    return frame


def _frames(train: Path, test: Path) -> dict[str, tuple[list[str], pl.DataFrame]]:
    official, held_out = _read(train), _read(test)
    labels = (official["income"] == _CLASSES[1]).cast(pl.Int64).to_numpy()
    index = stratified(labels, {"validation": 3_000}, rest="train", seed=0)
    parts = {
        name: ([f"train/{row:05d}" for row in index[name]], official[index[name]])
        for name in ("train", "validation")
    }
    parts["test"] = ([f"test/{row:05d}" for row in range(held_out.height)], held_out)
    return parts


def adult() -> Dataset:
    """The data set; its schema needs the files, so they are read (0.1 s) or downloaded here."""
    paths = _TRAIN.obtain(), _TEST.obtain()
    parts = _frames(*paths)
    features = {name: frame.drop("fnlwgt", "income") for name, (_, frame) in parts.items()}
    where = {"train": str(paths[0]), "validation": str(paths[0]), "test": str(paths[1])}
    schema = fit_schema(features, immutable=_IMMUTABLE)

    def load() -> dict[str, Split]:
        return {
            name: Split(
                ids=pl.Series("id", ids),
                inputs=encode(features[name], schema),
                labels=(frame["income"] == _CLASSES[1]).cast(pl.Int64).to_numpy(),
                groups=group_frame(frame, _GROUPS, where=where[name]),
            )
            for name, (ids, frame) in parts.items()
        }

    return Dataset(
        name="adult",
        modality="tabular",
        classes=_CLASSES,
        space=schema,
        splits=LazySplits(("train", "validation", "test"), load),
        digest=fingerprint(_VERSION, _TRAIN.sha256, _TEST.sha256),
        group_names=_GROUPS,
        source="https://archive.ics.uci.edu/dataset/2",
        licence="CC BY 4.0",
    )
