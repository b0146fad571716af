"""What the model answers once a person's group, or the words for it, is exchanged in one example."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from raiaudit.dashboard.examples.rows import ID
from raiaudit.dashboard.wording import plain
from raiaudit.reports.words.wording import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.dashboard.examples.rows import ExampleRows

__all__ = ["show", "variants"]

_CLASS, _SCORE = "counterfactual.class", "counterfactual.score"


def show(rows: ExampleRows, example: str, classes: Sequence[str]) -> None:
    """A row for each exchange that `fairness.counterfactual` asked about; nothing where it asked nothing."""
    found = variants(rows, example)
    if found is None or found.height < 2:
        return
    st.header("With another group", anchor=False)
    here = found.filter(pl.col(ID) == example)[_CLASS].to_list()
    table = []
    for name, answer, score in found.iter_rows():
        turned = bool(here) and answer is not None and answer != here[0]
        known = answer is not None and 0 <= answer < len(classes)
        table.append(
            {
                "Exchanged": plain(name.removeprefix(f"{example}#")) if name != example else "nothing",
                "Answer": (plain(classes[answer]) if known else "—")
                + (" :red-badge[✗ turned]" if turned else ""),
                "Score of the positive class": "—" if score is None else f"{percent(score)}\u00a0%",
            }
        )
    st.table(table, border="horizontal", hide_index=True, alt="Answers with another group in this example")


def variants(rows: ExampleRows, example: str) -> pl.DataFrame | None:
    """The example and what was made of it: id, class index, score; None where nobody asked."""
    parts = rows.scan([_CLASS, _SCORE])
    if len(parts) != 1 or not {_CLASS, _SCORE} <= rows.columns.keys():
        return None
    own = (pl.col(ID) == example) | pl.col(ID).str.starts_with(f"{example}#")
    return parts[0].filter(own).select(ID, _CLASS, _SCORE).sort(ID).collect()
