"""A page that has nothing to show yet: why, the command that changes it, and the form that does as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.wording import at_home

if TYPE_CHECKING:
    from raiaudit.audit.store import Home

__all__ = ["say_nothing_yet"]


def say_nothing_yet(home: Home, pages: Pages, why: str, *commands: str) -> None:
    """`why` is our own Markdown; each of `commands` is shown with the home it is for."""
    st.info(why, icon=":material/inbox:")
    st.code("\n".join(at_home(command, home.root) for command in commands), language="bash")
    link(pages, "new", "Or write an audit of your own in a form")
