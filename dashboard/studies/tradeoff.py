"""The trade-off studies of this home: the table with paired differences, and accuracy against leakage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.audit.tradeoff.study import TRADEOFFS
from raiaudit.dashboard.studies.study import chosen, draw_charts, draw_foot, draw_table

if TYPE_CHECKING:
    from raiaudit.audit.store import Home
    from raiaudit.dashboard.pages import Pages

__all__ = ["show"]


def show(home: Home, pages: Pages) -> None:
    """Draw the page."""
    from raiaudit.reports.studies.tradeoff import tradeoff_charts

    st.title("Trade-offs")
    study = chosen(
        TRADEOFFS,
        home,
        pages,
        empty="No trade-off study yet. It trains a task plainly, adversarially, privately and both:",
        command="raiaudit tradeoff examples/tradeoff.yaml",
    )
    if study is None:
        return
    draw_table(study)
    draw_charts(study, list(tradeoff_charts(study)))
    draw_foot(study, pages)
