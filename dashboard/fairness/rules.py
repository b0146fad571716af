"""Rules and laws: each rule's text and table as its profile gives it, and the table to take away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.fairness.saying import download
from raiaudit.dashboard.fairness.source import PROFILES
from raiaudit.dashboard.figures import draw_sheet
from raiaudit.reports.figures import sheets

if TYPE_CHECKING:
    from raiaudit.dashboard.fairness.source import Source

__all__ = ["show"]

_TABLES = {
    "profiles": "Which rules",
    "four_fifths": "Four-fifths rule",
    "own_rules": "Own rules",
    "ll144": "New York City Local Law 144",
    "eu_ai_act_10_2": "EU AI Act, Article 10",
}


def show(source: Source) -> None:
    """Draw the section; groups of every column."""
    tables = {name: table for name in _TABLES if (table := source.table(PROFILES, name)) is not None}
    if not tables:
        source.say_missing(PROFILES, "The check ran without a rule.")
        return
    st.markdown(
        "Nothing here is legal advice. Each rule says since when it applies and when it was looked up."
    )
    for name, table in tables.items():
        st.subheader(_TABLES[name], anchor=False)
        for sheet in sheets(PROFILES, {(PROFILES, name): table}, source.results):
            draw_sheet(sheet)
        download(table, name, key=f"csv-{name}", label=f"{_TABLES[name]} as CSV")
