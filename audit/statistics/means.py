"""Means of per-example quantities: one as a measurement with its bootstrap interval, the gap between two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import stdtrit

from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.intervals import Interval, mean_bootstrap
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["mean_gap", "mean_measurement"]


def mean_gap(a_M: NDArray[np.float64], b_N: NDArray[np.float64], confidence: float = 0.95) -> Interval:
    """Of mean(a) − mean(b), samples apart: Welch's (doi:10.1093/biomet/34.1-2.28). At least two of each."""
    gap = float(a_M.mean() - b_N.mean())
    parts = a_M.var(ddof=1) / len(a_M), b_N.var(ddof=1) / len(b_N)
    if not sum(parts):
        return Interval(gap, gap)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(a_M) - 1) + parts[1] ** 2 / (len(b_N) - 1))
    reach = float(stdtrit(freedom, 0.5 + confidence / 2) * np.sqrt(sum(parts)))
    return Interval(gap - reach, gap + reach)


def mean_measurement(
    values: pl.Series,
    *,
    check: str,
    metric: str,
    confidence: float,
    unit: str,
    better: Literal["higher", "lower", "neither"],
    seed: int,
    evidence: tuple[str, ...],
) -> Measurement:
    """The mean of `values` (no nulls). Of fewer than two values it is undefined: no interval exists."""
    n = len(values)
    low, high = None, None
    if n > 1:
        rng = keyed_rng(seed, check, metric)
        low, high = mean_bootstrap(values.to_numpy(), rng=rng, confidence=confidence)
    return Measurement(
        check=check,
        metric=metric,
        value=float(values.to_numpy().mean(dtype="float64")) if n > 1 else None,
        low=low,
        high=high,
        confidence=confidence,
        n=n,
        unit=unit,
        better=better,
        method="efron1987",
        reason=None if n > 1 else "fewer than two examples",
        evidence=evidence,
    )
