"""What a question about a tally answers: the same from a ledger of an audit as from a file of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.measurement import Measurement

__all__ = ["Findings"]


class Findings(NamedTuple):
    """Measurements, and the tables of evidence behind charts by name."""

    measurements: list[Measurement]
    evidence: Mapping[str, pl.DataFrame]
