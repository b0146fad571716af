"""The changed pairs a person should look at first: those whose score moved most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

__all__ = ["worst_pairs"]


def worst_pairs(
    pairs: pl.DataFrame, classes: Sequence[str], shown: int, texts: Mapping[str, str] | None
) -> pl.DataFrame:
    """source, attribute, from, to, from_id, to_id, from_class, to_class, from_score, to_score, change; with
    `texts` by id also from_text and to_text. At most `shown` of each source and attribute.
    """
    names = dict(enumerate(classes))
    size = pl.col("score").abs()
    rows = (
        pairs.filter("changed")
        .sort(size, descending=True, nulls_last=True, maintain_order=True)
        .group_by("source", "attribute", maintain_order=True)
        .head(shown)
        .sort("source", "attribute", maintain_order=True)
        .select(
            "source",
            "attribute",
            "from",
            "to",
            "from_id",
            "to_id",
            *(
                pl.col(name).replace_strict(names, return_dtype=pl.String)
                for name in ("from_class", "to_class")
            ),
            "from_score",
            "to_score",
            pl.col("score").alias("change"),
        )
    )
    if texts is None:
        return rows
    return rows.with_columns(
        pl.Series(f"{side}_text", [texts.get(example, "") for example in rows[f"{side}_id"]], dtype=pl.String)
        for side in ("from", "to")
    )
