"""The tables of evidence that speak of one example: its picture, attacks, maps, training examples.

Only what the run kept is shown. No data set is read and no model is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from raiaudit.dashboard.explanations.maps import maps_of
from raiaudit.dashboard.reading import evidence_table
from raiaudit.errors import StorageError
from raiaudit.reports.pictures.examples import picture
from raiaudit.reports.pictures.inside import enlarged

if TYPE_CHECKING:
    from raiaudit.audit.store import Run

__all__ = ["Kept", "kept_of", "own_features", "own_picture", "own_text"]

_TABLES = {
    "attacks": ("robustness.evasion", "examples"),
    "pairs": ("explanations.stability", "pairs"),
    "kin": ("explanations.influence", "pictures"),
    "training": ("explanations.influence", "examples"),
    "suspects": ("explanations.influence", "suspects"),
    "atlas": ("explanations.inside", "atlas_examples"),
    "exposed": ("privacy.at_risk", "exposed"),
}


@dataclass(slots=True)
class Kept:
    """Rows by table (see `_TABLES`) of one example; `behind`, predictions that it stands behind if it was
    trained on; `maps`, its maps by method; `problems`, tables that cannot be read.
    """

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    behind: list[dict[str, Any]] = field(default_factory=list)
    maps: pl.DataFrame | None = None
    problems: list[str] = field(default_factory=list)

    def of(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table, none where the run has no such table."""
        return self.rows.get(table, [])


def kept_of(run: Run, example: str) -> Kept:
    """Everything that evidence has of an example."""
    kept = Kept()
    for name, (check, table) in _TABLES.items():
        try:
            found = evidence_table(run, check, table)
        except StorageError as error:
            kept.problems.append(str(error))
            continue
        if found is not None and "example_id" in found.columns:
            kept.rows[name] = found.filter(pl.col("example_id") == example).to_dicts()
            if name == "training" and "train_id" in found.columns:
                kept.behind = found.filter(pl.col("train_id") == example).sort("relation", "rank").to_dicts()
    try:
        maps = maps_of(run)
    except StorageError as error:
        kept.problems.append(str(error))
    else:
        rows = None if maps is None else maps.filter(pl.col("example_id") == example)
        kept.maps = None if rows is None or rows.is_empty() else rows
    return kept


def own_picture(kept: Kept) -> bytes | None:
    """The example as an image, from wherever the run kept it; None for what is no image, or was not kept."""
    for table, column in (("attacks", "clean"), ("pairs", "input"), ("kin", "input")):
        for row in kept.of(table):
            if isinstance(row[column], list) and (image := picture(row[column], row["shape"])) is not None:
                return image
    if kept.maps is not None:
        first = kept.maps.row(0, named=True)
        if (image := picture(first["input"], first["shape"])) is not None:
            return image
    for row in kept.of("atlas"):
        if row["image"] is not None:
            return enlarged(row["image"])
    return None


def own_text(kept: Kept) -> str:
    """The example as a text: as an attack was given it, else as the words that were explained."""
    for row in kept.of("attacks"):
        if isinstance(row["clean"], str):
            return row["clean"]
    return " ".join(own_features(kept))


def own_features(kept: Kept) -> list[str]:
    """The words of a text, or `column = value` of a table's row, as they were explained."""
    if kept.maps is None or "features" not in kept.maps.columns:
        return []
    return kept.maps.row(0, named=True)["features"] or []
