"""The ledger columns of `explanations.attribution`, as its measurements and tables need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.explanations.attribution.aggregation import shares_of
from raiaudit.audit.explanations.methods import find_method, obstacle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["CHECK", "column_shares", "groupings", "judged_rows", "left_out", "profiles"]

CHECK = "explanations.attribution"


def judged_rows(ledger: LedgerReader, subject: Subject, name: str) -> tuple[pl.DataFrame, str | None]:
    """The judged rows of a method, or why there are none."""
    if (reason := obstacle(find_method(name), subject)) is not None:
        return pl.DataFrame(), reason
    own = ("deletion", "insertion", "deletion_curve", "completeness_error", "refused")
    columns = {f"attribution.{name}.{what}": what for what in own} | {"attribution.random": "random"}
    rows = ledger.scan(*columns).rename(columns).collect()
    refused = rows["refused"].drop_nulls()
    if len(refused):
        return rows, str(refused[0])
    judged = rows.drop_nulls(["random", "deletion"])
    return judged, None if judged.height else left_out(ledger, name)


def left_out(ledger: LedgerReader, name: str) -> str | None:
    """How many examples a black box did not answer about, and why the first; None where it answered all."""
    columns = ("attribution.unanswered", f"attribution.{name}.unanswered")
    rows = ledger.scan(*columns).collect()
    reasons = rows.select(pl.coalesce(*columns).drop_nulls().alias("reason"))["reason"]
    if not len(reasons):
        return None
    return f"{len(reasons)} of {rows.height} examples are left out: {reasons[0]}"


def profiles(ledger: LedgerReader, name: str, *more: str) -> pl.DataFrame:
    """`profile`, `predicted` and more columns that all methods share, of the rows that have all of them."""
    columns = {f"attribution.{name}.profile": "profile", "attribution.predicted": "predicted"}
    columns |= {f"attribution.{what}": what for what in more}
    return ledger.scan(*columns).rename(columns).drop_nulls().collect()


def column_shares(ledger: LedgerReader, name: str) -> tuple[pl.DataFrame, NDArray[np.float64]]:
    """Rows of a table whose map has any mass, and the shares of their columns, N×F."""
    rows = profiles(ledger, name)
    map_NF = np.array(rows["profile"].to_list(), dtype=np.float64)
    has_mass = np.abs(map_NF).sum(axis=1) > 0
    return rows.filter(has_mass), shares_of(map_NF[has_mass])


def groupings(
    subject: Subject, rows: pl.DataFrame, minimum: int
) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.int64], list[str]]]:
    """(group column, level of each row kept, those rows, names of the levels); small levels are left out."""
    split = subject.test
    if not split.groups.width:
        return
    place = {example: at for at, example in enumerate(split.ids.to_list())}
    order = [place[example] for example in rows["example_id"]]
    for name in split.groups.columns:
        levels = split.groups[name][order].cast(pl.String).fill_null("unknown").to_numpy()
        kept_levels = [
            level
            for level in sorted(set(levels))
            if level != "unknown" and (levels == level).sum() >= minimum
        ]
        kept = np.flatnonzero(np.isin(levels, kept_levels))
        yield (
            name,
            np.array([kept_levels.index(levels[at]) for at in kept], dtype=np.int64),
            kept,
            kept_levels,
        )
