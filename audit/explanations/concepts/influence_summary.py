"""What the ledger says about influence: numbers, and the tables behind a report's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.intervals import mean_bootstrap, wilson
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["RELATIONS", "measurements", "named", "pictured", "suspects"]

RELATIONS = {"helpful": "helpful_scores", "harmful": "harmful_scores", "nearest": "nearest_similarity"}
"""Ledger columns of training ids, and of what they were ranked by."""


def measurements(check: str, ledger: LedgerReader, subject: Subject, most: int) -> list[Measurement]:
    """Agreement of neighbours and of helpful examples; how few are named; suspects their kin contradict."""
    rows = _audited(ledger)
    rows = rows.with_columns(right=rows["predicted"] == _labels(subject, rows["example_id"]))
    measured = []
    for metric, column, method in (
        ("neighbour_label_agreement", "neighbour_agreement", "papernot2018"),
        ("helpful_label_agreement", "helpful_agreement", "pruthi2020"),
    ):
        for where in ({}, {"predictions": "right"}, {"predictions": "wrong"}):
            part = rows
            if where:
                part = rows.filter(pl.col("right") == (where["predictions"] == "right"))
            measured.append(
                _mean(check, metric, column, part[column].to_numpy(), where, method, subject.seed)
            )
    helpful = rows["helpful"].explode()
    measured.append(
        Measurement(
            check=check,
            metric="distinct_helpful_share",
            value=helpful.n_unique() / len(helpful),
            n=rows.height,
            better="neither",
            method="pruthi2020",
            evidence=("influence.helpful",),
        )
    )
    found = suspects(ledger, subject, most)
    against = int((found["neighbours_agree"] < 0.5).sum())
    interval = wilson(against, found.height)
    measured.append(
        Measurement(
            check=check,
            metric="suspects_contradicted",
            value=against / found.height,
            low=interval.low,
            high=interval.high,
            n=found.height,
            better="lower",
            method="pruthi2020",
            evidence=("influence.self", "influence.own_agreement"),
        )
    )
    return measured


def _mean(
    check: str,
    metric: str,
    column: str,
    values: NDArray[np.float64],
    where: dict[str, str],
    method: str,
    seed: int,
) -> Measurement:
    low, high = None, None
    if len(values) > 1:
        low, high = mean_bootstrap(values, rng=keyed_rng(seed, check, metric, *where.values()))
    return Measurement(
        check=check,
        metric=metric,
        value=float(values.mean()) if len(values) else None,
        low=low,
        high=high,
        n=len(values),
        better="higher",
        where=dict(where),
        method=method,
        reason=None if len(values) else f"no audited prediction is {where['predictions']}",
        evidence=(f"influence.{column}",),
    )


def named(ledger: LedgerReader, subject: Subject) -> pl.DataFrame:
    """example_id, label, predicted, relation, rank, train_id, train_label, score."""
    classes = subject.dataset.classes
    rows = _audited(ledger)
    label = _labels(subject, rows["example_id"])
    base = rows.select(
        "example_id",
        pl.Series("label", [classes[index] for index in label], dtype=pl.String),
        pl.Series("predicted", [classes[index] for index in rows["predicted"]], dtype=pl.String),
    )
    parts = [
        base.with_columns(
            pl.lit(relation).alias("relation"),
            pl.Series("rank", [list(range(1, len(ids) + 1)) for ids in rows[relation]]),
            rows[relation].alias("train_id"),
            rows[score].alias("score"),
        ).explode("rank", "train_id", "score")
        for relation, score in RELATIONS.items()
    ]
    training = _training(ledger).select(
        pl.col("example_id").alias("train_id"),
        pl.col("train_label").map_elements(lambda index: classes[index], return_dtype=pl.String),
    )
    return pl.concat(parts).join(training, on="train_id", how="left", maintain_order="left")


def suspects(ledger: LedgerReader, subject: Subject, most: int) -> pl.DataFrame:
    """example_id (of training), label, predicted, self_influence, neighbours_agree; the largest first."""
    classes = subject.dataset.classes
    rows = _training(ledger).sort(
        "self", "own_agreement", descending=True, nulls_last=True, maintain_order=True
    )
    names = {
        name: pl.col(column).map_elements(lambda index: classes[index], return_dtype=pl.String)
        for name, column in (("label", "train_label"), ("predicted", "train_predicted"))
    }
    return (
        rows.drop_nulls("own_agreement")
        .head(most)
        .select("example_id", **names, self_influence="self", neighbours_agree="own_agreement")
    )


def pictured(ledger: LedgerReader, subject: Subject) -> pl.DataFrame:
    """The audited images a spec wants drawn: example_id, label, predicted, shape, input, and `relation`,
    `train_label` and `train_input` (lists: the first of each relation).
    """
    inputs = ledger.scan("influence.input").drop_nulls().collect()
    pixels = dict(inputs.iter_rows())
    shape = getattr(subject.dataset.space, "shape", ())
    rows = []
    for (example,), kin in named(ledger, subject).group_by("example_id", maintain_order=True):
        if example not in pixels:
            continue
        first = kin.filter(pl.col("rank") == 1)
        rows.append(
            {
                **first.row(0, named=True),
                "shape": list(shape),
                "input": pixels[example],
                "relation": first["relation"].to_list(),
                "train_label": first["train_label"].to_list(),
                "train_input": [pixels[name] for name in first["train_id"]],
            }
        )
    return pl.DataFrame(
        rows,
        schema={
            **dict.fromkeys(("example_id", "label", "predicted"), pl.String),
            "shape": pl.List(pl.Int64),
            "input": pl.List(pl.Float32),
            **dict.fromkeys(("relation", "train_label"), pl.List(pl.String)),
            "train_input": pl.List(pl.List(pl.Float32)),
        },
    )


def _audited(ledger: LedgerReader) -> pl.DataFrame:
    names = ("predicted", *RELATIONS, *RELATIONS.values(), "neighbour_agreement", "helpful_agreement")
    columns = {f"influence.{name}": name for name in names}
    return ledger.scan(*columns).drop_nulls("influence.predicted").rename(columns).collect()


def _training(ledger: LedgerReader) -> pl.DataFrame:
    columns = {
        f"influence.{name}": name for name in ("self", "train_label", "train_predicted", "own_agreement")
    }
    return ledger.scan(*columns).drop_nulls("influence.self").rename(columns).collect()


def _labels(subject: Subject, ids: pl.Series) -> pl.Series:
    split = subject.test
    label = dict(zip(split.ids.to_list(), split.labels.tolist(), strict=True))
    return pl.Series([label[example] for example in ids], dtype=pl.Int32)
