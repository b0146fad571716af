"""The perturbation trace of one example: its prediction while features go, by each method's ranking."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import streamlit as st

from raiaudit.dashboard.figures import draw_chart
from raiaudit.dashboard.wording import plain
from raiaudit.reports.charts import trace_curves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.dashboard.examples.rows import Value

__all__ = ["curves", "show"]

_FAITHFULNESS = re.compile(r"faithfulness\.(?P<map>\w+)\.(?P<first>most|least)")
_ATTRIBUTION = re.compile(r"attribution\.(?P<map>\w+?)[._](?:deletion_)?curve")
_MEANING = {
    "most": "Most relevant features first (deletion): the lower, the better the map ranks",
    "least": "Least relevant features first, which read backwards is insertion: the higher, the better",
}


def show(values: Sequence[Value]) -> None:
    """Both directions beside each other, as far as the ledger has them."""
    found = [(first, table) for first in _MEANING if (table := curves(values, first)) is not None]
    for place, (first, table) in zip(st.columns(2, gap="large"), found, strict=False):
        with place:
            means = table.group_by("map", maintain_order=True).agg(pl.col("probability").mean())
            told = "; ".join(f"{name.replace('_', ' ')}: mean {mean:.3f}" for name, mean in means.iter_rows())
            chart = trace_curves(table, first=first, several=False)
            draw_chart(chart, f"Chart. {_MEANING[first]}. {told}")
            st.caption(plain(f"{_MEANING[first]}."))


def curves(values: Sequence[Value], first: str) -> pl.DataFrame | None:
    """map, removed (a share), probability; by faithfulness where it traced, else attribution's deletion."""
    traced = [
        (found["map"], value.value)
        for value in values
        if (found := _FAITHFULNESS.fullmatch(value.column)) and found["first"] == first
    ]
    if not traced and first == "most":
        traced = [
            (found["map"], value.value) for value in values if (found := _ATTRIBUTION.fullmatch(value.column))
        ]
    tables = [
        pl.DataFrame({"map": name, "removed": np.linspace(0, 1, len(curve)), "probability": curve})
        for name, curve in traced
        if isinstance(curve, list)
    ]
    return pl.concat(tables, how="vertical_relaxed") if tables else None
