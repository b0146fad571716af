"""The dashboard's script, run by Streamlit: page frame and navigation. Start it with `raiaudit view`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import streamlit as st

from raiaudit.audit.store import Home
from raiaudit.dashboard.in_place import SCRIPT
from raiaudit.dashboard.libraries import import_libraries
from raiaudit.dashboard.pages import Pages
from raiaudit.dashboard.style import STYLE
from raiaudit.dashboard.theme import icon

_SIDEBAR = 232  # pixels
_OPENS = "audits.overview"
# Heading in the navigation; then title, Material symbol, address, and the module below this package whose
# `show` draws the page: imported when the page is opened, for some need slow libraries. The first opens.
_SECTIONS: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "": (
        ("Overview", "fact_check", "audits", _OPENS),
        ("Models", "deployed_code", "models", "models.page"),
        ("New audit", "add_task", "new", "new_audit.page"),
    ),
    "One run": (
        ("Run", "assignment", "run", "run.page"),
        ("Example", "search", "example", "examples.page"),
        ("Fairness", "groups", "fairness", "fairness.page"),
        ("Inside the model", "neurology", "inside", "explanations.inside"),
        ("Evidence map", "gavel", "evidence", "regulation.page"),
    ),
    "Several runs": (
        ("Compare", "compare_arrows", "compare", "compare.page"),
        ("Trade-offs", "balance", "tradeoffs", "studies.tradeoff"),
        ("Mitigation", "diversity_3", "mitigation", "studies.mitigation"),
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
    st.html(SCRIPT, unsafe_allow_javascript=True)
    home = Home.at()
    pages: dict[str, st.Page] = {}
    sections: dict[str, list[st.Page]] = {}
    for heading, entries in _SECTIONS.items():
        for title, symbol, path, module in entries:
            pages[path] = st.Page(
                _drawn_by(module, home, pages),
                title=title,
                icon=f":material/{symbol}:",
                url_path=path,
                default=not pages,
            )
            sections.setdefault(heading, []).append(pages[path])
    chosen = st.navigation(sections, position="sidebar", expanded=True)
    _redraw_in_another_theme(st.context.theme.type)
    chosen.run()


@st.fragment(run_every=2)
def _redraw_in_another_theme(drawn: str | None) -> None:
    """Charts are drawn in the browser's theme, and it tells of a change only when it asks for something."""
    if st.context.theme.type != drawn:
        st.rerun()


def _drawn_by(module: str, home: Home, pages: Pages) -> Callable[[], None]:
    def show() -> None:
        # The overview has its first content without them.
        if module != _OPENS:
            import_libraries()
        import_module(f"raiaudit.dashboard.{module}").show(home, pages)

    return show


main()
