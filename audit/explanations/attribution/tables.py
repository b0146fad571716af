"""The evidence tables of `explanations.attribution`: curves, maps to look at, and maps taken together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.attacks.spaces import TableSchema
from raiaudit.audit.explanations.attribution.aggregation import (
    compare_groups,
    mean_shares,
    top_words,
)
from raiaudit.audit.explanations.attribution.reading import (
    CHECK,
    column_shares,
    groupings,
    judged_rows,
    profiles,
)
from raiaudit.audit.explanations.attribution.rows import pooled
from raiaudit.audit.statistics.intervals import mean_bootstrap
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from raiaudit.audit.explanations.attribution.attribution import AttributionConfig
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["BEATEN", "tables"]

_SUPPORT = 3  # texts of a class that a word must be in

BEATEN = "does not beat random rankings"
"""The verdict of maps that are not to be relied on."""


def tables(ledger: LedgerReader, subject: Subject, config: AttributionConfig) -> Mapping[str, pl.DataFrame]:
    """`curve`, `maps`, and by modality `shares`, `words` or `class_maps`, of the methods that gave maps."""
    judged = {}
    for name in config.methods:
        rows, refused = judged_rows(ledger, subject, name)
        if refused is None:
            judged[name] = rows
    if not judged:
        return {}
    null = ledger.scan("attribution.random_curve").drop_nulls().collect()["attribution.random_curve"]
    curve = {"removed": np.linspace(0, 1, config.levels + 1)}
    curve |= {name: np.mean(rows["deletion_curve"].to_list(), axis=0) for name, rows in judged.items()}
    found = {"curve": pl.DataFrame({**curve, "random": np.mean(null.to_list(), axis=0)})}
    found["maps"] = pl.concat([_maps(ledger, subject, name, rows) for name, rows in judged.items()])
    by_class = {"tabular": ("shares", _share_rows), "text": ("words", _word_rows)}
    title, write = by_class.get(subject.dataset.modality, ("class_maps", _class_maps))
    parts = [part for name in judged for part in write(ledger, subject, config, name)]
    if parts:
        found[title] = pl.concat(parts)
    return found


def _share_rows(
    ledger: LedgerReader, subject: Subject, config: AttributionConfig, name: str
) -> Iterator[pl.DataFrame]:
    """method, column, by ("all", "predicted", or a group column), level, share, low, high, n, p, watched."""
    space = subject.dataset.space
    assert isinstance(space, TableSchema)
    rows, share_NF = column_shares(ledger, name)
    if not rows.height:
        return
    names = [column.name for column in space.columns]
    watched = {*subject.dataset.group_names, *config.proxies}

    def of(by: str, level: str, chosen: NDArray[np.int64], p_F: list[float | None]) -> pl.DataFrame:
        rng = keyed_rng(subject.seed, CHECK, name, by, level)
        mean, low, high = mean_shares(share_NF[chosen], rng)
        return pl.DataFrame(
            {
                "method": name,
                "column": names,
                "by": by,
                "level": level,
                "share": mean,
                "low": low,
                "high": high,
                "n": len(chosen),
                "p": pl.Series(p_F, dtype=pl.Float64),
                "watched": [column in watched for column in names],
            }
        )

    nothing: list[float | None] = [None] * len(names)
    yield of("all", "all", np.arange(rows.height), nothing)
    for index, label in enumerate(subject.dataset.classes):
        chosen = np.flatnonzero(rows["predicted"].to_numpy() == index)
        if len(chosen) >= config.min_group:
            yield of("predicted", label, chosen, nothing)
    for title, group_N, kept, levels in groupings(subject, rows, config.min_group):
        p_F = nothing
        if len(levels) > 1:
            rng = keyed_rng(subject.seed, CHECK, "groups", title)
            p_F = compare_groups(share_NF[kept], group_N, rng=rng, draws=config.permutations).p_F
        for at, level in enumerate(levels):
            yield of(title, level, kept[group_N == at], p_F)


def _word_rows(
    ledger: LedgerReader, subject: Subject, config: AttributionConfig, name: str
) -> Iterator[pl.DataFrame]:
    """method, class (as predicted), word, mean, texts."""
    rows = profiles(ledger, name, "words")
    classes = [subject.dataset.classes[index] for index in rows["predicted"]]
    words = top_words(rows["words"].to_list(), rows["profile"].to_list(), classes, support=_SUPPORT)
    if words.height:
        yield words.select(pl.lit(name).alias("method"), pl.all())


def _class_maps(
    ledger: LedgerReader, subject: Subject, config: AttributionConfig, name: str
) -> Iterator[pl.DataFrame]:
    """method, class (as predicted), n, shape, map (mean signed share of a cell), input (the mean image)."""
    split, shape = subject.test, getattr(subject.dataset.space, "shape", ())
    if len(shape) != 3:
        return
    rows = profiles(ledger, name)
    place = {example: at for at, example in enumerate(split.ids.to_list())}
    for index, label in enumerate(subject.dataset.classes):
        some = rows.filter(pl.col("predicted") == index)
        if some.height < config.min_group:
            continue
        map_NF = np.array(some["profile"].to_list(), dtype=np.float64)
        total_N1 = np.abs(map_NF).sum(axis=1, keepdims=True)
        share_NF = np.divide(map_NF, total_N1, out=np.zeros_like(map_NF), where=total_N1 > 0)
        inputs = np.asarray(split.take(np.array([place[example] for example in some["example_id"]])).inputs)
        mean = inputs.mean(axis=0, dtype=np.float64) / (255.0 if inputs.dtype == np.uint8 else 1.0)
        coarse = pooled(mean) / pooled(np.ones_like(mean))
        yield pl.DataFrame(
            {
                "method": [name],
                "class": [label],
                "n": [some.height],
                "shape": pl.Series([list(coarse.shape)], dtype=pl.List(pl.Int64)),
                "map": pl.Series([share_NF.mean(axis=0).tolist()], dtype=pl.List(pl.Float64)),
                "input": pl.Series([coarse.ravel().tolist()], dtype=pl.List(pl.Float64)),
            }
        )


def _maps(ledger: LedgerReader, subject: Subject, name: str, judged: pl.DataFrame) -> pl.DataFrame:
    """example_id, label, predicted, shape ([C, H, W], or the map's length), input, map, features, method,
    verdict (in words: whether the method's maps beat random rankings).
    """
    columns = {f"attribution.{what}": what for what in ("predicted", "input", "features")}
    columns[f"attribution.{name}.map"] = "map"
    rows = ledger.scan(*columns).rename(columns).drop_nulls(["map", "predicted"]).collect()
    split, classes = subject.test, subject.dataset.classes
    label = dict(zip(split.ids.to_list(), split.labels.tolist(), strict=True))
    shape = getattr(subject.dataset.space, "shape", None)
    shapes = [list(shape) if shape is not None else [len(values)] for values in rows["map"]]
    return rows.select(
        "example_id",
        pl.Series("label", [classes[label[example]] for example in rows["example_id"]], dtype=pl.String),
        pl.Series("predicted", [classes[index] for index in rows["predicted"]], dtype=pl.String),
        pl.Series("shape", shapes, dtype=pl.List(pl.Int64)),
        "input",
        "map",
        "features",
        pl.lit(name).alias("method"),
        pl.lit(_verdict(subject, judged)).alias("verdict"),
    )


def _verdict(subject: Subject, judged: pl.DataFrame) -> str:
    gain = (judged["random"] - judged["deletion"]).to_numpy()
    if len(gain) < 2:
        return "not judged: one example alone"
    low, _ = mean_bootstrap(gain, rng=keyed_rng(subject.seed, CHECK, "deletion_gain"))
    return "beats random rankings" if low > 0 else BEATEN
