"""What the pictures and the atlas amount to: measurements and tables from the ledger alone.

`visualised_activation_ratio` is (activation of the picture − mean) / (largest − mean), mean and largest over
the audited images: 1 is as much as the image that excites the channel most, 0 no more than an image on
average. Cells of the atlas are compared with all others by Fisher's exact test, adjusted over cells
(Benjamini and Hochberg); the plane knows activations, never labels, so the cells are no selection of errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raiaudit.audit.explanations.inside.thumbnails import thumbnail, unit_pixels
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.audit.statistics.multiplicity import benjamini_hochberg

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = [
    "atlas_examples",
    "atlas_table",
    "channel_table",
    "concentration_p_value",
    "feature_measurements",
    "pictures_of",
]

_ALPHA = 0.05
_EXAMPLES = 4  # real images beside a channel
_NEAREST = 12  # real images kept of a cell
_DRAWS = 4999
_FEWEST = 5  # examples of a cell that is compared


def feature_measurements(ledger: LedgerReader, subject: Subject, check: str) -> list[Measurement]:
    """Ratios by channel, the trust in the plane, and the number of cells with more errors than the rest."""
    channels = channel_table(ledger, subject, pictures=False)
    rows = _examples(ledger)
    layer, n, trust = channels["layer"][0], rows.height, rows["trust"][0]
    found = [
        Measurement(
            check=check,
            metric="visualised_activation_ratio",
            value=row["ratio"],
            n=n,
            better="neither",
            where={"layer": layer, "channel": row["channel"]},
            method="olah2017",
            reason=None if row["ratio"] is not None else "the channel gives the same for every audited image",
            evidence=("inside.reached", "inside.activations"),
        )
        for row in channels.iter_rows(named=True)
    ]
    found.append(
        Measurement(
            check=check,
            metric="atlas_trustworthiness",
            value=trust,
            n=n,
            better="higher",
            where={"layer": layer},
            method="venna2001",
            reason=None if trust is not None else "too few examples to have neighbours",
            evidence=("inside.trust",),
        )
    )
    cells = _tested(rows)
    found.append(
        Measurement(
            check=check,
            metric="cells_with_more_errors",
            value=float(cells["more_errors"].sum()),
            n=n,
            unit="cells",
            better="lower",
            where={"layer": layer},
            method="carter2019",
            evidence=("inside.column", "inside.row", "inside.error"),
        )
    )
    found.append(
        Measurement(
            check=check,
            metric="cells_alike_p_value",
            value=concentration_p_value(
                cells["errors"].to_numpy(), cells["n"].to_numpy(), keyed_rng(subject.seed, check, "cells")
            ),
            n=n,
            better="neither",
            where={"layer": layer},
            method="dwass1957",
            evidence=("inside.column", "inside.row", "inside.error"),
        )
    )
    return found


def concentration_p_value(
    errors_M: NDArray[np.int64], n_M: NDArray[np.int64], rng: np.random.Generator
) -> float:
    """Whether errors gather in some of M cells: chi-square, had they struck at random; 1 without errors."""
    total, errors = int(n_M.sum()), int(errors_M.sum())
    expected_M = errors * n_M / total
    if errors == 0:
        return 1.0
    drawn_DM = rng.multivariate_hypergeometric(n_M.astype(np.int64), errors, size=_DRAWS)
    seen = float(((errors_M - expected_M) ** 2 / expected_M).sum())
    by_chance_D = ((drawn_DM - expected_M) ** 2 / expected_M).sum(1)
    return float((1 + (by_chance_D >= seen * (1 - 1e-12)).sum()) / (1 + _DRAWS))


def channel_table(ledger: LedgerReader, subject: Subject, *, pictures: bool = True) -> pl.DataFrame:
    """A row a channel: how selective, for which class, what its picture reaches beside the real images.

    Columns: layer, channel, selectivity, favourite (a class), reached, mean, largest, ratio (null where all
    images give the same), picture (PNG), examples (ids of the real images that excite it most), activations
    (theirs), images (PNG, theirs).
    """
    names = ("layer", "channel", "selectivity", "favourite", "reached", "picture")
    rows = _read(ledger, *names).drop_nulls("channel").sort("channel")
    examples = _examples(ledger)
    activation_NK = np.array(examples["activations"].to_list())
    mean_K, largest_K = activation_NK.mean(0), activation_NK.max(0)
    reached_K = rows["reached"].to_numpy()
    ratio_K = [
        float((reached - mean) / (largest - mean)) if largest > mean else None
        for reached, mean, largest in zip(reached_K, mean_K, largest_K, strict=True)
    ]
    best_KE = np.argsort(-activation_NK, axis=0, kind="stable")[:_EXAMPLES].T
    ids = examples["example_id"].to_list()
    shown = sorted({ids[index] for index in best_KE.ravel()}) if pictures else []
    png = pictures_of(subject, shown)
    return pl.DataFrame(
        {
            "layer": rows["layer"],
            "channel": rows["channel"],
            "selectivity": rows["selectivity"],
            "favourite": pl.Series([subject.dataset.classes[k] for k in rows["favourite"]], dtype=pl.String),
            "reached": reached_K,
            "mean": mean_K,
            "largest": largest_K,
            "ratio": pl.Series(ratio_K, dtype=pl.Float64),
            "picture": rows["picture"],
            "examples": [[ids[index] for index in best_E] for best_E in best_KE],
            "activations": [
                activation_NK[best_E, channel].tolist() for channel, best_E in enumerate(best_KE)
            ],
            "images": pl.Series(
                [[png.get(ids[index]) for index in best_E] for best_E in best_KE], dtype=pl.List(pl.Binary)
            ),
        }
    )


def atlas_table(ledger: LedgerReader, subject: Subject, grid: int) -> pl.DataFrame:
    """A row a cell with examples in it.

    Columns: layer, grid (cells a side), column, row (0, 0 is at the upper left), n, errors, error_rate, low,
    high (Wilson), p and q (against all other cells; null for fewer than 5 examples), more_errors, predicted
    (the class most often predicted), share (of it), icon (PNG, null beyond the fullest cells).
    """
    cells = _tested(_examples(ledger))
    icons = _read(ledger, "cell_column", "cell_row", "icon").drop_nulls("icon").drop("example_id")
    layer = _read(ledger, "layer").drop_nulls("layer")["layer"][0]
    return cells.join(
        icons, left_on=["column", "row"], right_on=["cell_column", "cell_row"], how="left"
    ).select(
        layer=pl.lit(layer),
        grid=pl.lit(grid, dtype=pl.Int32),
        column="column",
        row="row",
        n="n",
        errors="errors",
        error_rate="error_rate",
        low="low",
        high="high",
        p="p",
        q="q",
        more_errors="more_errors",
        predicted=pl.col("predicted").map_elements(
            lambda index: subject.dataset.classes[index], return_dtype=pl.String
        ),
        share="share",
        icon="icon",
    )


def atlas_examples(ledger: LedgerReader, subject: Subject) -> pl.DataFrame:
    """A row an example of the atlas: where it lies, what was predicted, its groups.

    Errors, and those nearest to the mean of their cell, have a picture.

    Columns: example_id, x, y, column, row, label, predicted, error, nearest (0 is the nearest to the cell's
    mean), image (PNG or null), `group:NAME` for each group column.
    """
    rows = _examples(ledger).with_columns(
        nearest=pl.col("off_centre").rank("ordinal").over("column", "row").cast(pl.Int32) - 1
    )
    split, classes = subject.test, subject.dataset.classes
    held = pl.DataFrame(
        {
            "example_id": split.ids,
            "label": pl.Series([classes[label] for label in split.labels], dtype=pl.String),
            **{f"group:{name}": split.groups[name] for name in split.groups.columns},
        }
    )
    png = pictures_of(
        subject, rows.filter((pl.col("nearest") < _NEAREST) | pl.col("error"))["example_id"].to_list()
    )
    groups = [name for name in held.columns if name.startswith("group:")]
    return (
        rows.join(held, on="example_id", how="left", maintain_order="left")
        .with_columns(
            predicted=pl.Series([classes[index] for index in rows["predicted"]], dtype=pl.String),
            image=pl.Series([png.get(example) for example in rows["example_id"]], dtype=pl.Binary),
        )
        .select(
            "example_id",
            "x",
            "y",
            "column",
            "row",
            "label",
            "predicted",
            "error",
            "nearest",
            "image",
            *groups,
        )
        .sort("row", "column", "nearest")
    )


def _tested(rows: pl.DataFrame) -> pl.DataFrame:
    """Cells from the upper left, with their errors and the test against the rest."""
    from raiaudit.audit.statistics.exact import fisher_exact
    from raiaudit.audit.statistics.intervals import wilson

    cells = (
        rows.group_by("column", "row")
        .agg(
            n=pl.len(),
            errors=pl.col("error").sum(),
            predicted=pl.col("predicted").mode().min(),
            share=(pl.col("predicted") == pl.col("predicted").mode().min()).mean(),
        )
        .sort("row", "column")
        .with_columns(error_rate=pl.col("errors") / pl.col("n"))
    )
    total, errors = rows.height, int(rows["error"].sum())
    counts = list(cells.select("errors", "n").iter_rows())
    p = [fisher_exact(k, n, errors - k, total - n) if n >= _FEWEST else None for k, n in counts]
    q = benjamini_hochberg(p)
    bounds = [wilson(k, n) for k, n in counts]
    return cells.with_columns(
        low=pl.Series([bound.low for bound in bounds]),
        high=pl.Series([bound.high for bound in bounds]),
        p=pl.Series(p, dtype=pl.Float64),
        q=pl.Series(q, dtype=pl.Float64),
        more_errors=pl.Series(
            [
                adjusted is not None and adjusted <= _ALPHA and k * total > errors * n
                for adjusted, (k, n) in zip(q, counts, strict=True)
            ],
            dtype=pl.Boolean,
        ),
    )


def _examples(ledger: LedgerReader) -> pl.DataFrame:
    names = ("x", "y", "column", "row", "off_centre", "predicted", "error", "activations", "trust")
    return _read(ledger, *names).drop_nulls("x")


def _read(ledger: LedgerReader, *names: str) -> pl.DataFrame:
    columns = {f"inside.{name}": name for name in names}
    return ledger.scan(*columns).rename(columns).collect()


def pictures_of(subject: Subject, ids: list[str]) -> dict[str, bytes]:
    """Small pictures of real images, by example."""
    from raiaudit.attacks.spaces import ImageBox
    from raiaudit.models.data.dataset import take

    split, box = subject.test, subject.dataset.space
    assert isinstance(box, ImageBox)
    place = {example: index for index, example in enumerate(split.ids.to_list())}
    found = {}
    for example in ids:
        pixels: Any = unit_pixels(take(split.inputs, slice(place[example], place[example] + 1)))[0]
        found[example] = thumbnail((pixels - box.low) / (box.high - box.low))
    return found
