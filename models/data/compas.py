"""COMPAS: was a person in Broward County arrested again within two years? 7,214 rows.

J. Larson et al., "How We Analyzed the COMPAS Recidivism Algorithm", ProPublica 2016,
https://github.com/propublica/compas-analysis. The cohort is the whole two-year file (7,214), not the
filtered 6,172 of ProPublica's own regression: rates differ between the two, so the cohort is stated.
Names, birth dates, case numbers and all other columns but those below are never read into memory as
columns. Features are what was known at screening; COMPAS's own scores and everything that follows from
the outcome (is_recid, custody dates) are no features. `sex` and `race` are groups and, as in the file, also
features; with age they are immutable. Splits are seeded and stratified: 30 % test, 10 % validation.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from raiaudit.errors import DataError
from raiaudit.models.data.dataset import Dataset, LazySplits, Split
from raiaudit.models.data.fetch import OfficialFile, fingerprint
from raiaudit.models.data.splitting import stratified
from raiaudit.models.data.tables import encode, fit_schema, group_frame

__all__ = ["compas", "compas_scores"]

_VERSION = "compas/1"
_FILE = OfficialFile(
    "compas/compas-scores-two-years.csv",
    "c451db85908b2f7fef1d83203bedf6b71ecda0d5af468d82ae62178f91d0cc7d",
    "https://raw.githubusercontent.com/propublica/compas-analysis/master/compas-scores-two-years.csv",
)
_FEATURES = {
    "age": pl.Int64,
    "sex": pl.String,
    "race": pl.String,
    "juv_fel_count": pl.Int64,
    "juv_misd_count": pl.Int64,
    "juv_other_count": pl.Int64,
    "priors_count": pl.Int64,
    "c_charge_degree": pl.String,
}
_LABEL = "two_year_recid"
_GROUPS = ("sex", "race")
_IMMUTABLE = ("age", "sex", "race")


def _read(path: Path, columns: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    try:
        return pl.read_csv(path, columns=list(columns), schema_overrides=columns)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"not the two-year file ({error})", where=str(path)) from error


def compas_scores(path: Path | None = None) -> pl.DataFrame:
    """race, sex, COMPAS's own `decile_score` and the outcome, all 7,214 rows in file order."""
    columns = {"race": pl.String, "sex": pl.String, "decile_score": pl.Int64, _LABEL: pl.Int64}
    return _read(path or _FILE.obtain(), columns).select(*columns)


def compas() -> Dataset:
    """The data set; its schema needs the file, so it is read or downloaded here."""
    path = _FILE.obtain()
    frame = _read(path, {**_FEATURES, _LABEL: pl.Int64})
    labels_N = frame[_LABEL].to_numpy()
    sizes = {"test": round(0.3 * frame.height), "validation": round(0.1 * frame.height)}
    index = stratified(labels_N, sizes, rest="train", seed=0)
    parts = {name: frame[index[name]] for name in ("train", "validation", "test")}
    features = {name: part.select(*_FEATURES) for name, part in parts.items()}
    schema = fit_schema(features, immutable=_IMMUTABLE)

    def load() -> dict[str, Split]:
        return {
            name: Split(
                ids=pl.Series("id", [f"compas/{row:05d}" for row in index[name]]),
                inputs=encode(features[name], schema),
                labels=labels_N[index[name]],
                groups=group_frame(part, _GROUPS, where=str(path)),
            )
            for name, part in parts.items()
        }

    return Dataset(
        name="compas",
        modality="tabular",
        classes=("no recidivism", "recidivism"),
        space=schema,
        splits=LazySplits(("train", "validation", "test"), load),
        digest=fingerprint(_VERSION, _FILE.sha256),
        group_names=_GROUPS,
        source="https://github.com/propublica/compas-analysis",
        licence="not stated by the publisher",
    )
