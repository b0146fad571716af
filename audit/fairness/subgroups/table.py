"""The table `lattice` of a finished search: one row a subgroup and metric.

Listed are the findings and what they explain, every single level, and of the others those with the strongest
evidence, `MOST_ROWS` in all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.fairness.subgroups.comparison import bounds
from raiaudit.audit.fairness.subgroups.lattice import ANY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from raiaudit.audit.fairness.subgroups.search import Search

    Integers = NDArray[np.int64]

__all__ = ["MOST_ROWS", "lattice_table"]

MOST_ROWS = 5000
_STATUS = ("confirmed", "suspected", "explained", "clear", "too_small")
_CONFIRMED, _SUSPECTED, _EXPLAINED, _CLEAR, _TOO_SMALL = range(len(_STATUS))


def lattice_table(found: Search, confidence: float) -> pl.DataFrame:
    """Columns: subgroup, depth, `level.<attribute>` (null: any), people; metric; value, low, high of the n
    who meet its condition; rest, of everyone else; gap, gap_low, gap_high; q of the search, p of the
    confirmation and p_adjusted; status (confirmed, suspected, explained, clear, too_small); explained_by.

    All but people and q come from the confirming half.
    """
    lattice, compared = found.lattice, found.confirm
    status_SM = _statuses(found)
    rows = _rows(found, status_SM)
    subgroups, metrics = rows
    limits = bounds(compared.group, confidence)
    single, selected = compared.bounds(confidence), compared.bounds(found.finding_confidence)
    is_finding = np.isin(status_SM[rows], (_CONFIRMED, _SUSPECTED))
    levels = {
        f"level.{name}": _levels(lattice.levels[i], lattice.levels_SA[subgroups, i])
        for i, name in enumerate(lattice.attributes)
    }
    claims = {(f.subgroup, f.metric): f for f in found.findings}
    p_SM, adjusted_SM = np.exp(found.log_p_SM), np.full(status_SM.shape, np.nan)
    for at, finding in claims.items():
        p_SM[at], adjusted_SM[at] = finding.p, finding.p_adjusted
    explained = [found.explained_by[m].get(s) for s, m in zip(*rows, strict=True)]
    explainers = [None if by is None else lattice.name(by) for by in explained]
    columns = {
        "subgroup": pl.Series([lattice.name(s) for s in subgroups], dtype=pl.String),
        "depth": lattice.depths[subgroups],
        **levels,
        "people": lattice.people_S[subgroups],
        "metric": pl.Series([found.metrics[m] for m in metrics], dtype=pl.String),
        "value": compared.values[rows],
        "low": limits.low[rows],
        "high": limits.high[rows],
        "n": compared.group.trials[rows],
        "rest": compared.rest_values[rows],
        "gap": compared.gaps[rows],
        "gap_low": np.where(is_finding, selected.low[rows], single.low[rows]),
        "gap_high": np.where(is_finding, selected.high[rows], single.high[rows]),
        "q": np.exp(found.log_q_SM[rows]),
        "p": np.where(found.tested_SM[rows], p_SM[rows], np.nan),
        "p_adjusted": adjusted_SM[rows],
        "status": pl.Series([_STATUS[status] for status in status_SM[rows]], dtype=pl.String),
        "explained_by": pl.Series(explainers, dtype=pl.String),
    }
    return pl.DataFrame(columns).with_columns(pl.col(pl.Float64).fill_nan(None))


def _levels(names: Sequence[str], at: Integers) -> pl.Series:
    return pl.Series([*names, None], dtype=pl.String).gather(np.where(at == ANY, len(names), at))


def _statuses(found: Search) -> Integers:
    """Of every subgroup and metric."""
    significant_SM = (found.log_q_SM <= np.log(found.alpha)) & found.large_SM
    status_SM = np.where(significant_SM, _SUSPECTED, np.where(found.tested_SM, _CLEAR, _TOO_SMALL))
    for metric, explained in enumerate(found.explained_by):
        status_SM[np.fromiter(explained, dtype=np.int64), metric] = _EXPLAINED
    for finding in found.findings:
        status_SM[finding.subgroup, finding.metric] = _CONFIRMED if finding.confirmed else _SUSPECTED
    return status_SM


def _rows(found: Search, status_SM: Integers) -> tuple[Integers, Integers]:
    """Which subgroups and metrics the table lists: by status, then by evidence."""
    single_SM = np.broadcast_to((found.lattice.depths == 1)[:, None], status_SM.shape)
    subgroups, metrics = np.nonzero(found.tested_SM | single_SM)
    status, single = status_SM[subgroups, metrics], single_SM[subgroups, metrics]
    log_q = np.nan_to_num(found.log_q_SM[subgroups, metrics])
    first = np.lexsort((log_q, ~single, status >= _CLEAR))[:MOST_ROWS]
    first = first[np.lexsort((subgroups[first], log_q[first], status[first]))]
    return subgroups[first], metrics[first]
