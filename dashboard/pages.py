"""Links between pages. A page is a function `show(home, pages)`; `app` makes them known by their address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from streamlit.navigation.page import StreamlitPage

__all__ = ["Pages", "link"]

Pages = Mapping[str, "StreamlitPage"]


def link(pages: Pages, path: str, label: str, *, icon: str | None = None, **query: str) -> None:
    """A link to the page at `path` with `query` in its address; `label` is Markdown.

    With `icon`, a Material symbol's name, it stands left of the label; a chevron follows without one.
    Drawn alone, outside the dashboard, where there is no such page, the label stays as text.
    """
    if (page := pages.get(path)) is None:
        st.markdown(label)
    elif icon is None:
        st.page_link(
            page, label=label, query_params=query, icon=":material/chevron_right:", icon_position="right"
        )
    else:
        st.page_link(page, label=label, query_params=query, icon=f":material/{icon}:")
