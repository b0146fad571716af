"""Who is selected: people of each group predicted to be of the favourable class, or scored above the median.

Counted from a tally, with or without labels. People one of whose attributes is not recorded are counted
apart. The median and the scores above it are those of the histogram's bins (`tally.BINS` of them): whoever
shares the median's bin is not above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from raiaudit.audit.fairness.counting.cells import UNKNOWN
from raiaudit.audit.fairness.counting.tally import intersection

if TYPE_CHECKING:
    from raiaudit.audit.fairness.counting.tally import Tally

__all__ = ["Selected", "favourable_class", "scored_above_median", "selected"]


class Selected(NamedTuple):
    """Of each group, sorted by name, how many of how many; besides, how many are of no known group."""

    groups: tuple[str, ...]
    selected: tuple[int, ...]
    n: tuple[int, ...]
    unknown: int

    @property
    def total(self) -> int:
        """Everybody, known or not."""
        return sum(self.n) + self.unknown


def favourable_class(tally: Tally, favourable: str | None) -> int | None:
    """The position of the class that is the selection: the one named, else the positive one."""
    return tally.positive if favourable is None else tally.classes.index(favourable)


def selected(tally: Tally, attributes: Sequence[str], favourable: int) -> Selected:
    """People predicted to be of the favourable class; of several attributes, by intersection."""
    return _counted(tally.table, attributes, pl.col("predicted") == favourable)


def scored_above_median(tally: Tally, attributes: Sequence[str], favourable: int) -> Selected | None:
    """People whose score for the favourable class is above the median of all (6 RCNY 5-300, "scoring rate").

    None without scores, or where the scores are for another of more than two classes.
    """
    if tally.scores is None or tally.scores.is_empty():
        return None
    if favourable == tally.positive:
        bins = pl.col("bin")
    elif len(tally.classes) == 2:
        bins = -pl.col("bin")  # the score of the other class, mirrored
    else:
        return None
    scores = tally.scores.with_columns(bin=bins)
    below = scores.group_by("bin").agg(pl.col("n").sum()).sort("bin").with_columns(pl.col("n").cum_sum())
    # The lower of the two middle scores: where they lie in two bins, none lies between.
    middle = below.filter(pl.col("n") >= (below["n"][-1] + 1) // 2)["bin"][0]
    return _counted(scores, attributes, pl.col("bin") > middle)


def _counted(table: pl.DataFrame, attributes: Sequence[str], chosen: pl.Expr) -> Selected:
    known = pl.all_horizontal(pl.col(attributes) != UNKNOWN)
    unknown = int(table.filter(~known)["n"].sum())
    counts = (
        table.filter(known)
        .group_by(group=intersection(attributes))
        .agg(selected=pl.col("n").filter(chosen).sum(), n=pl.col("n").sum())
        .sort("group")
    )
    groups, chosen_G, n_G = (tuple(counts[name].to_list()) for name in ("group", "selected", "n"))
    return Selected(groups, chosen_G, n_G, unknown)
