"""What every threshold would do to every group: the data behind a threshold explorer.

From the score histograms, so the model is not asked again. A threshold t predicts positive whoever scores t
or more; t lies on the edges of the bins, so counts are exact; at t = 1 nobody is predicted positive. The
audited predictions stand beside, at the threshold that selects nearest to as many of all people.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.fairness.by_group.metrics import Confusion
from raiaudit.audit.fairness.counting.tally import BINS

if TYPE_CHECKING:
    from raiaudit.audit.fairness.counting.tally import Tally

__all__ = ["STEPS", "thresholds"]

STEPS = 200
_MOST_GROUPS = 50
_PARTS = ("tp", "fp", "fn", "tn")


def thresholds(tally: Tally, attribute: str) -> pl.DataFrame:
    """Attribute, group, threshold, selected, tp, fp, fn, tn, audited: a row a group and step, and one a group
    (`audited`) of the audited predictions. Of at most the 50 largest groups.

    The tally has labels, scores and a positive class.
    """
    assert tally.positive is not None
    sizes = tally.table.group_by(attribute).agg(pl.col("n").sum())
    largest = sizes.sort("n", attribute, descending=[True, False]).head(_MOST_GROUPS)[attribute].to_list()
    here = pl.col(attribute).is_in(largest)
    assert tally.scores is not None
    # Before the dense histogram: of 10,000 groups it would fill the memory.
    tally = replace(tally, table=tally.table.filter(here), scores=tally.scores.filter(here))
    scores = tally.histograms(attribute)
    groups = list(scores.axes[0].levels)
    # At or above each bin, with a last entry for t = 1.
    above_GLB = scores.counts[..., ::-1].cumsum(-1)[..., ::-1]
    above_GLB = np.concatenate([above_GLB, np.zeros_like(above_GLB[..., :1])], axis=-1)
    edges = np.round(np.arange(STEPS + 1) * BINS / STEPS).astype(np.int64)
    selected_GLT = above_GLB[..., edges]
    everyone_GL = above_GLB[..., 0]
    tp = selected_GLT[:, tally.positive]
    fp = selected_GLT.sum(1) - tp
    fn = everyone_GL[:, tally.positive, None] - tp
    tn = everyone_GL.sum(1)[:, None] - tp - fp - fn
    grid = edges / BINS
    table = _table(attribute, groups, np.tile(grid, (len(groups), 1)), (tp, fp, fn, tn))
    points = _operating(tally, attribute, groups, grid, scores.counts.sum(0), edges)
    return pl.concat([table.with_columns(audited=False), points.with_columns(audited=True)])


def _operating(
    tally: Tally,
    attribute: str,
    groups: list[str],
    grid: np.ndarray,
    counts_LB: np.ndarray,
    edges: np.ndarray,
) -> pl.DataFrame:
    cells = tally.cells(attribute)
    kept = [cells.axes[0].levels.index(group) for group in groups]
    assert tally.positive is not None
    audited = Confusion.of(cells.counts, tally.positive)
    chosen = int((audited.tp + audited.fp).sum())
    above_B = np.append(counts_LB.sum(0)[::-1].cumsum()[::-1], 0)
    # Of equally near thresholds the one nearest to 1/2.
    nearest = np.lexsort((np.abs(grid - 0.5), np.abs(above_B[edges] - chosen)))[0]
    at = np.full((len(groups), 1), grid[nearest])
    return _table(attribute, groups, at, tuple(part[kept, None] for part in audited))


def _table(
    attribute: str, groups: list[str], at_GT: np.ndarray, parts: tuple[np.ndarray, ...]
) -> pl.DataFrame:
    steps = at_GT.shape[1]
    counts = {name: part.ravel() for name, part in zip(_PARTS, parts, strict=True)}
    return pl.DataFrame(
        {
            "attribute": pl.Series([attribute] * at_GT.size, dtype=pl.String),
            "group": pl.Series(np.repeat(groups, steps).tolist(), dtype=pl.String),
            "threshold": at_GT.ravel(),
            "selected": counts["tp"] + counts["fp"],
            **counts,
        }
    )
