"""What heads are worth: loss without a head less loss with it, on the same examples.

The p-value is that of random signs of the paired differences (an exact test by Monte Carlo: a head without
effect could as well be named the other way round), adjusted over all heads (Benjamini and Hochberg).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.audit.statistics.multiplicity import benjamini_hochberg

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["attention_table", "head_measurements", "head_table", "sign_flip_p_values", "without_heads"]

_ALPHA = 0.05
_REPORTED = 12
_FLIPS = 4999
_CHUNK = 500


def head_measurements(ledger: LedgerReader, subject: Subject, check: str) -> list[Measurement]:
    """The importance of the most important heads (all, up to 12), and how many the model needs."""
    table = head_table(ledger, subject, check)
    n = _read(ledger, "loss").height
    best = table.sort("importance", descending=True, maintain_order=True).head(_REPORTED)
    found = [
        Measurement(
            check=check,
            metric="head_importance",
            value=row["importance"],
            low=row["low"],
            high=row["high"],
            n=n,
            unit="nats",
            better="neither",
            where={"layer": row["layer"], "head": row["head"]},
            method="michel2019",
            evidence=("inside.loss", "inside.head_losses"),
        )
        for row in best.sort("layer", "head").iter_rows(named=True)
    ]
    found.append(
        Measurement(
            check=check,
            metric="useful_heads",
            value=table.filter((pl.col("q") <= _ALPHA) & (pl.col("importance") > 0)).height / table.height,
            n=n,
            better="neither",
            method="michel2019",
            evidence=("inside.loss", "inside.head_losses"),
        )
    )
    return found


def without_heads(ledger: LedgerReader, check: str) -> list[Measurement]:
    """Why a transformer's heads were not taken out, where they were not."""
    reasons = ledger.scan("inside.no_heads").drop_nulls().collect()["inside.no_heads"].unique()
    return [
        Measurement(
            check=check,
            metric="useful_heads",
            value=None,
            n=0,
            better="neither",
            method="michel2019",
            reason=reason,
        )
        for reason in reasons
    ]


def head_table(ledger: LedgerReader, subject: Subject, check: str) -> pl.DataFrame:
    """A row a head.

    Columns: layer, head, importance (mean rise of the loss without it, nats), low, high (paired bootstrap),
    p, q, accuracy_change, accuracy_low, accuracy_high, entropy (0 looks at one token, 1 at all alike).
    """
    from raiaudit.audit.statistics.intervals import mean_bootstrap, paired_difference

    rows = _read(ledger, "loss", "right", "head_losses", "head_rights", "entropies", "shape")
    layers, heads = rows["shape"][0]
    loss_N, right_N = rows["loss"].to_numpy(), rows["right"].to_numpy()
    rise_NH = np.array(rows["head_losses"].to_list()) - loss_N[:, None]
    right_NH = np.array(rows["head_rights"].to_list())
    p = sign_flip_p_values(rise_NH, keyed_rng(subject.seed, check, "heads"))
    found = []
    for index in range(layers * heads):
        rng = keyed_rng(subject.seed, check, "head", index)
        low, high = mean_bootstrap(rise_NH[:, index], rng=rng) if len(rows) > 1 else (None, None)
        change = paired_difference(right_NH[:, index], right_N)
        found.append(
            {
                "layer": index // heads,
                "head": index % heads,
                "importance": float(rise_NH[:, index].mean()),
                "low": low,
                "high": high,
                "p": p[index],
                "accuracy_change": float(right_NH[:, index].mean() - right_N.mean()),
                "accuracy_low": change.low,
                "accuracy_high": change.high,
            }
        )
    entropy = np.array(rows["entropies"].to_list()).mean(0)
    return pl.DataFrame(found).with_columns(
        q=pl.Series(benjamini_hochberg(p), dtype=pl.Float64), entropy=pl.Series(entropy)
    )


def attention_table(ledger: LedgerReader, subject: Subject) -> pl.DataFrame:
    """A row an example: example_id, label, right, shape [layers, heads, tokens], looks (flat), tokens, image.

    `image` is a PNG, null for what is no image.
    """
    from raiaudit.attacks.spaces import ImageBox
    from raiaudit.audit.explanations.inside.findings import pictures_of

    rows = _read(ledger, "right", "shape", "looks", "tokens").drop_nulls("looks")
    split, classes = subject.test, subject.dataset.classes
    label = dict(zip(split.ids.to_list(), split.labels.tolist(), strict=True))
    ids = rows["example_id"].to_list()
    png = pictures_of(subject, ids) if isinstance(subject.dataset.space, ImageBox) else {}
    return rows.select(
        "example_id",
        pl.Series("label", [classes[label[example]] for example in ids], dtype=pl.String),
        "right",
        pl.concat_list("shape", pl.col("tokens").list.len().cast(pl.Int64)).alias("shape"),
        "looks",
        "tokens",
        pl.Series("image", [png.get(example) for example in ids], dtype=pl.Binary),
    )


def sign_flip_p_values(change_NH: NDArray[np.float64], rng: np.random.Generator) -> list[float]:
    """Two-sided, for each of H mean changes over N examples whose signs are coins; 1 where all are 0."""
    seen_H = np.abs(change_NH.sum(0))
    slack_H = 1e-12 * np.abs(change_NH).sum(0)
    reached_H = np.ones(change_NH.shape[1])
    for start in range(0, _FLIPS, _CHUNK):
        count = min(_CHUNK, _FLIPS - start)
        signs_FN = rng.integers(0, 2, size=(count, len(change_NH))) * 2.0 - 1.0
        reached_H += (np.abs(signs_FN @ change_NH) >= seen_H - slack_H).sum(0)
    p: list[float] = (reached_H / (1 + _FLIPS)).tolist()
    return p


def _read(ledger: LedgerReader, *names: str) -> pl.DataFrame:
    columns = {f"inside.{name}": name for name in names}
    return ledger.scan(*columns).rename(columns).collect().drop_nulls(names[0])
