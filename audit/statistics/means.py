"""The mean of a per-example quantity as a measurement, with its bootstrap interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from raiaudit.audit.measurement import Measurement
from raiaudit.audit.statistics.intervals import mean_bootstrap
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    import polars as pl

__all__ = ["mean_measurement"]


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
