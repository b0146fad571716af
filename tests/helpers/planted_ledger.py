"""A ledger whose rows are written down."""

from __future__ import annotations

import polars as pl


class Rows:
    """A ledger of one frame."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def columns(self) -> frozenset[str]:
        """Their names."""
        return frozenset(self.frame.columns)

    def scan(self, *columns: str) -> pl.LazyFrame:
        """Some of them, by example."""
        return self.frame.lazy().select("example_id", *columns)
