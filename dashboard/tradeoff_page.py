"""The trade-off studies of this home: the table with paired differences, and accuracy against leakage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.audit.tradeoff.study import TRADEOFFS
from raiaudit.dashboard.study_page import chosen, draw_charts, draw_foot, draw_table

if TYPE_CHECKING:
    from streamlit.navigation.page import StreamlitPage

    from raiaudit.audit.store import Home

__all__ = ["show"]


def show(home: Home, run_page: StreamlitPage) -> None:
    """Draw the page; `run_page` is where a variant's name leads."""
    from raiaudit.reports.tradeoff import tradeoff_charts

    st.title("Trade-offs")
    study = chosen(
        TRADEOFFS,
        home,
        empty="No trade-off study yet. It trains a task plainly, adversarially, privately and both: "
        "raiaudit tradeoff examples/tradeoff.yaml",
    )
    if study is None:
        return
    draw_table(study)
    draw_charts(study, list(tradeoff_charts(study)))
    draw_foot(study, run_page)
