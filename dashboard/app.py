"""The dashboard's script, run by Streamlit: page frame and navigation. Start it with `raiaudit view`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from streamlit.navigation.page import StreamlitPage

_Show = Callable[[Home, "StreamlitPage"], None]
_PAGES: tuple[tuple[str, str, str, _Show], ...] = (
    ("Models", "deployed_code", "models", models_page.show),
    ("Fairness", "groups", "fairness", fairness_page.show),
    ("Inside the model", "neurology", "inside", inside_page.show),
    ("Trade-offs", "balance", "tradeoffs", tradeoff_page.show),
    ("Mitigation", "diversity_3", "mitigation", mitigation_page.show),
)


def main() -> None:
    """Draw the page the address names."""
    st.set_page_config(page_title="raiaudit", page_icon=icon(), layout="wide")
    st.html(STYLE)
    home = Home.at()
    run = st.Page(
        lambda: run_page.show(home, others["fairness"]),
        title="Run",
        icon=":material/assignment:",
        url_path="run",
    )
    runs = st.Page(
        lambda: overview.show(home, run), title="Audits", icon=":material/fact_check:", default=True
    )
    others = {
        path: st.Page(_bound(show, home, run), title=title, icon=f":material/{symbol}:", url_path=path)
        for title, symbol, path, show in _PAGES
    }
    st.navigation([runs, run, *others.values()], position="top").run()


def _bound(show: _Show, home: Home, run: StreamlitPage) -> Callable[[], None]:
    return lambda: show(home, run)


main()
