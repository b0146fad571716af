"""Which examples changed sides, and whose: yes/no quantities by example and by group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.comparison.paired import test_yes_no
from raiaudit.audit.comparison.pairing import Pairs
from raiaudit.audit.comparison.results import Changed
from raiaudit.audit.ledger import ID

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from raiaudit.audit.comparison.deltas import Paired
    from raiaudit.audit.comparison.pairing import Rows
    from raiaudit.audit.comparison.results import Delta

__all__ = ["LEAST_OF_GROUP", "changed_examples", "group_deltas"]

LEAST_OF_GROUP = 10
"""Examples of a group that is shown."""
_MOST_GROUPS = 40


def changed_examples(paired: Sequence[Paired]) -> Iterator[Changed]:
    """The ids, in their order."""
    for delta, pairs in paired:
        ours_N, reference_N = pairs.ours_N > 0.5, pairs.reference_N > 0.5
        if delta.better == "lower":
            ours_N, reference_N = ~ours_N, ~reference_N
        yield Changed(
            run=delta.run,
            check=delta.check,
            metric=delta.metric,
            where=delta.where,
            fixed=tuple(pairs.ids.filter(pl.Series(ours_N & ~reference_N))),
            broken=tuple(pairs.ids.filter(pl.Series(reference_N & ~ours_N))),
        )


def group_deltas(paired: Sequence[Paired], rows: Rows, confidence: float) -> Iterator[Delta]:
    """Every yes/no quantity in every group of at least `LEAST_OF_GROUP` examples."""
    for column in rows.groups:
        levels = rows.frame.select(ID, level=pl.col(column).cast(pl.String)).drop_nulls()
        for delta, pairs in paired:
            joined = pairs.ids.to_frame(ID).with_row_index("at").join(levels, on=ID, how="inner")
            sizes = joined["level"].value_counts(sort=True).filter(pl.col("count") >= LEAST_OF_GROUP)
            for level in sorted(sizes["level"].head(_MOST_GROUPS).to_list()):
                at = joined.filter(pl.col("level") == level)["at"].to_numpy()
                part = Pairs(pairs.ids.gather(at), pairs.ours_N[at], pairs.reference_N[at], 1)
                yield _of_group(delta, part, (column.removeprefix("group."), level), confidence)


def _of_group(delta: Delta, part: Pairs, group: tuple[str, str], confidence: float) -> Delta:
    tested = test_yes_no(part, confidence)
    gained = int(np.sum(part.ours_N > part.reference_N))
    lost = int(np.sum(part.ours_N < part.reference_N))
    if delta.better == "lower":
        gained, lost = lost, gained
    return delta.model_copy(
        update={
            "group": group,
            "n": len(part.ids),
            "reference": float(part.reference_N.mean()),
            "value": float(part.ours_N.mean()),
            "difference": tested.difference,
            "low": tested.low,
            "high": tested.high,
            "p": tested.p,
            "fixed": gained,
            "broken": lost,
        }
    )
