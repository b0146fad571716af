"""What the measurements of one rule share, and how its tables are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from raiaudit.audit.measurement import Measurement

if TYPE_CHECKING:
    from raiaudit.audit.measurement import Scalar

__all__ = ["CHECK_ID", "Recorder", "listed", "table"]

CHECK_ID = "fairness.profiles"


@dataclass(frozen=True, slots=True)
class Recorder:
    """`where` is the slice of all its measurements (which rule, which attribute)."""

    where: Mapping[str, Scalar]
    confidence: float
    evidence: tuple[str, ...] = ()

    def measure(
        self,
        metric: str,
        value: float | None,
        limits: tuple[float | None, float | None] = (None, None),
        *,
        n: int,
        method: str,
        better: Literal["higher", "lower", "neither"] = "neither",
        unit: str = "",
        reason: str | None = None,
        beside: str | None = None,
        **where: Scalar,
    ) -> Measurement:
        """One measurement; `where` adds to the slice."""
        return Measurement(
            check=CHECK_ID,
            metric=metric,
            value=value,
            low=limits[0],
            high=limits[1],
            confidence=self.confidence,
            n=n,
            unit=unit,
            better=better,
            where={**self.where, **where},
            method=method,
            reason=reason,
            evidence=self.evidence,
            beside=beside,
        )


_LISTED = 40


def listed(parts: Sequence[str], *, by: str = "; ") -> str:
    """Joined; of hundreds the first, and how many more: every one is in the tables."""
    more = len(parts) - _LISTED
    return by.join(parts) if more <= 0 else f"{by.join(parts[:_LISTED])}{by}and {more:,} more"


def table(schema: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as a table of these columns, whatever they hold."""
    return pl.DataFrame([dict(row) for row in rows], schema=dict(schema))
