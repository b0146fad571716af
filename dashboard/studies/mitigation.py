"""The mitigation studies of this home: what closes a gap, who pays for it, and what it costs besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.audit.mitigation.study import MITIGATIONS
from raiaudit.dashboard.studies.study import chosen, draw_blocks, draw_charts, draw_foot, draw_table
from raiaudit.dashboard.wording import plain
from raiaudit.reports.studies.mitigation import harm_blocks, told_lines

if TYPE_CHECKING:
    from raiaudit.audit.store import Home
    from raiaudit.dashboard.pages import Pages

__all__ = ["show"]


def show(home: Home, pages: Pages) -> None:
    """Draw the page."""
    from raiaudit.reports.studies.mitigation import mitigation_charts

    st.title("Mitigation")
    study = chosen(
        MITIGATIONS,
        home,
        pages,
        empty="No mitigation study yet. It trains a model plainly and with what is done about groups, and "
        "shows what each costs whom:",
        command="raiaudit mitigate examples/mitigate_adult.yaml --attribute sex",
    )
    if study is None:
        return
    draw_charts(study, list(mitigation_charts(study)))
    st.subheader("Who pays")
    for variant, line in told_lines(study):
        st.markdown(f"- **{plain(variant)}** {plain(line)}")
    draw_table(study)
    st.subheader("By group")
    draw_blocks(harm_blocks(study), alt="Rates of each group by variant, with differences")
    draw_foot(study, pages)
