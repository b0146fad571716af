"""Robust accuracy against the number of queries an adversary has spent on each example.

One run of an attack gives the whole curve: with q queries it has broken those examples whose error it
found at or before its q-th, and none of the others. The intervals are Wilson's, at each number of queries.

Shapes: all columns have one entry an attacked example.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.statistics.intervals import wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["query_curve"]

_POINTS = 60  # at most; more than a chart can show
_SCHEMA = {"queries": pl.Int64, "robust_accuracy": pl.Float64, "low": pl.Float64, "high": pl.Float64}


def query_curve(
    broken: NDArray[np.bool_], forwards: NDArray[np.int64], correct: NDArray[np.bool_]
) -> pl.DataFrame:
    """queries (rising, about even in their logarithms), robust_accuracy, low, high; no rows of no examples.

    `forwards` is what an attack that stops at its first success spent on the example; of an attack that
    goes on, the queries at which it first had an error within eps (`forwards_to_break` of
    `hop_skip_jump`), whatever for those it did not break. `correct`: right on the clean input.
    """
    assert len(broken) == len(forwards) == len(correct)
    if not len(broken):
        return pl.DataFrame(schema=_SCHEMA)
    found = np.sort(forwards[broken & correct])
    most = max(int(forwards.max()), 1)
    queries = np.unique(np.geomspace(1, most, _POINTS).round().astype(np.int64))
    standing = int(correct.sum()) - np.searchsorted(found, queries, side="right")
    intervals = [wilson(int(count), len(broken)) for count in standing]
    return pl.DataFrame(
        {
            "queries": queries,
            "robust_accuracy": standing / len(broken),
            "low": [interval.low for interval in intervals],
            "high": [interval.high for interval in intervals],
        },
        schema=_SCHEMA,
    )
