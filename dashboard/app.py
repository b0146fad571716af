"""The dashboard's script, run by Streamlit: page frame and navigation. Start it with `raiaudit view`."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from raiaudit.audit.store import Home
from raiaudit.dashboard import models_page
from raiaudit.dashboard.audits import overview
from raiaudit.dashboard.compare import page as compare
from raiaudit.dashboard.examples import page as examples
from raiaudit.dashboard.explanations import inside
from raiaudit.dashboard.fairness import page as fairness
from raiaudit.dashboard.new_audit import page as new_audit
from raiaudit.dashboard.pages import Pages
from raiaudit.dashboard.regulation import page as regulation
from raiaudit.dashboard.run import page as run
from raiaudit.dashboard.studies import mitigation, tradeoff
from raiaudit.dashboard.style import STYLE
from raiaudit.dashboard.theme import icon

_Show = Callable[[Home, Pages], None]
_SIDEBAR = 232  # pixels
# Heading in the navigation; then title, Material symbol, address, what draws it. The first opens.
_SECTIONS: dict[str, tuple[tuple[str, str, str, _Show], ...]] = {
    "": (
        ("Overview", "fact_check", "audits", overview.show),
        ("Models", "deployed_code", "models", models_page.show),
        ("New audit", "add_task", "new", new_audit.show),
    ),
    "One run": (
        ("Run", "assignment", "run", run.show),
        ("Example", "search", "example", examples.show),
        ("Fairness", "groups", "fairness", fairness.show),
        ("Inside the model", "neurology", "inside", inside.show),
        ("Evidence map", "gavel", "evidence", regulation.show),
    ),
    "Several runs": (
        ("Compare", "compare_arrows", "compare", compare.show),
        ("Trade-offs", "balance", "tradeoffs", tradeoff.show),
        ("Mitigation", "diversity_3", "mitigation", mitigation.show),
    ),
}


def main() -> None:
    """Draw the page the address names."""
    # The menu that offers the themes is hidden where it has nothing else to offer.
    st.set_page_config(
        page_title="raiaudit",
        page_icon=icon(),
        layout="wide",
        initial_sidebar_state=_SIDEBAR,
        menu_items={"About": "raiaudit: audits of models, read from their run directories on this machine."},
    )
    st.html(STYLE)
    home = Home.at()
    pages: dict[str, st.Page] = {}
    sections: dict[str, list[st.Page]] = {}
    for heading, entries in _SECTIONS.items():
        for title, symbol, path, show in entries:
            pages[path] = st.Page(
                _bound(show, home, pages),
                title=title,
                icon=f":material/{symbol}:",
                url_path=path,
                default=not pages,
            )
            sections.setdefault(heading, []).append(pages[path])
    st.navigation(sections, position="sidebar", expanded=True).run()


def _bound(show: _Show, home: Home, pages: Pages) -> Callable[[], None]:
    return lambda: show(home, pages)


main()
