"""The dashboard's script, run by Streamlit: page frame and navigation. Start it with `raiaudit view`."""

from __future__ import annotations

import streamlit as st

from raiaudit.audit.store import Home
from raiaudit.dashboard import (
    fairness_page,
    inside_page,
    mitigation_page,
    models_page,
    overview,
    run_page,
    tradeoff_page,
)
from raiaudit.dashboard.theme import STYLE, icon


def main() -> None:
    """Draw the page the address names."""
    st.set_page_config(page_title="raiaudit", page_icon=icon(), layout="wide")
    st.html(STYLE)
    home = Home.at()
    run = st.Page(
        lambda: run_page.show(home, fairness), title="Run", icon=":material/assignment:", url_path="run"
    )
    runs = st.Page(
        lambda: overview.show(home, run), title="Audits", icon=":material/fact_check:", default=True
    )
    models = st.Page(
        lambda: models_page.show(home, run),
        title="Models",
        icon=":material/deployed_code:",
        url_path="models",
    )
    tradeoffs = st.Page(
        lambda: tradeoff_page.show(home, run),
        title="Trade-offs",
        icon=":material/balance:",
        url_path="tradeoffs",
    )
    mitigations = st.Page(
        lambda: mitigation_page.show(home, run),
        title="Mitigation",
        icon=":material/diversity_3:",
        url_path="mitigation",
    )
    fairness = st.Page(
        lambda: fairness_page.show(home, run),
        title="Fairness",
        icon=":material/groups:",
        url_path="fairness",
    )
    inside = st.Page(
        lambda: inside_page.show(home, run),
        title="Inside the model",
        icon=":material/neurology:",
        url_path="inside",
    )
    pages = [runs, run, models, fairness, inside, tradeoffs, mitigations]
    st.navigation(pages, position="top").run()


main()
