"""The dashboard's script, run by Streamlit: page frame and navigation. Start it with `raiaudit view`."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from raiaudit.audit.store import Home
from raiaudit.dashboard import models_page
from raiaudit.dashboard.audits import overview
from raiaudit.dashboard.compare import page as compare
from raiaudit.dashboard.explanations import inside
from raiaudit.dashboard.fairness import page as fairness
from raiaudit.dashboard.pages import Pages
from raiaudit.dashboard.run import page as run
from raiaudit.dashboard.studies import mitigation, tradeoff
from raiaudit.dashboard.theme import STYLE, icon

_Show = Callable[[Home, Pages], None]
# Title, Material symbol, address, what draws it; the first is where the dashboard opens.
_PAGES: tuple[tuple[str, str, str, _Show], ...] = (
    ("Audits", "fact_check", "audits", overview.show),
    ("Run", "assignment", "run", run.show),
    ("Compare", "compare_arrows", "compare", compare.show),
    ("Models", "deployed_code", "models", models_page.show),
    ("Fairness", "groups", "fairness", fairness.show),
    ("Inside the model", "neurology", "inside", inside.show),
    ("Trade-offs", "balance", "tradeoffs", tradeoff.show),
    ("Mitigation", "diversity_3", "mitigation", mitigation.show),
)


def main() -> None:
    """Draw the page the address names."""
    st.set_page_config(page_title="raiaudit", page_icon=icon(), layout="wide")
    st.html(STYLE)
    home = Home.at()
    pages: dict[str, st.Page] = {}
    for title, symbol, path, show in _PAGES:
        pages[path] = st.Page(
            _bound(show, home, pages),
            title=title,
            icon=f":material/{symbol}:",
            url_path=path,
            default=not pages,
        )
    st.navigation(list(pages.values()), position="top").run()


def _bound(show: _Show, home: Home, pages: Pages) -> Callable[[], None]:
    return lambda: show(home, pages)


main()
