"""Fairness of one run, to explore: groups, subgroups, thresholds, what excludes what, rules, counterfactuals.

Reads the tables of evidence of a finished run, never a model. The address keeps the run and every control.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.choosing import choose_run
from raiaudit.dashboard.fairness import counterfactual, groups, rules, subgroups, thresholds, together
from raiaudit.dashboard.fairness.source import GROUPS, PROFILES, Source
from raiaudit.dashboard.nothing import say_nothing_yet
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.reading import list_runs, results_of
from raiaudit.dashboard.wording import chip, instant, plain
from raiaudit.errors import StorageError

if TYPE_CHECKING:
    from raiaudit.audit.store import Home
    from raiaudit.dashboard.reading import RunEntry

__all__ = ["show"]

_SECTIONS = (
    "Groups",
    "Subgroups",
    "Thresholds",
    "What cannot hold together",
    "Rules and laws",
    "Counterfactual tests",
)


def show(home: Home, pages: Pages) -> None:
    """Draw the run that `?run=` names, the newest with tables of fairness without it."""
    st.title("Fairness")
    asked = st.query_params.get("run")
    entries = [entry for entry in list_runs(home) if entry.id == asked or _has_tables(entry)]
    if not entries:
        say_nothing_yet(
            home,
            pages,
            "No finished run here has asked about fairness. An audit does; a file of predictions is enough:",
            "raiaudit run examples/fairness.yaml",
            "raiaudit fairness predictions.csv --label y --pred yhat --groups sex",
        )
        return
    entry = choose_run(entries)
    if entry.header is None or entry.header.status != "finished":
        st.info("This run has not finished, so there is nothing to explore yet.", icon=":material/hourglass:")
        link(pages, "run", "See how far it is", run=entry.id)
        return
    try:
        source = Source(entry.run, results_of(entry.run))
    except StorageError as error:
        st.error(f"This run cannot be shown. {plain(error)}", icon=":material/broken_image:")
        return
    _headline(entry, pages)
    attribute = _attribute(source)
    names = list(_SECTIONS)
    tabs = st.tabs(names, key="section", bind="query-params")
    if tabs[0].open:
        with tabs[0]:
            groups.show(source, attribute)
    if tabs[1].open:
        with tabs[1]:
            subgroups.show(source)
    if tabs[2].open:
        with tabs[2]:
            thresholds.show(source, attribute)
    if tabs[3].open:
        with tabs[3]:
            together.show(source, attribute)
    if tabs[4].open:
        with tabs[4]:
            rules.show(source)
    if tabs[5].open:
        with tabs[5]:
            counterfactual.show(source)


def _has_tables(entry: RunEntry) -> bool:
    folder = entry.run.folder / "evidence"
    return entry.header is not None and entry.header.status == "finished" and any(folder.glob("fairness.*"))


def _headline(entry: RunEntry, pages: Pages) -> None:
    header = entry.header
    assert header is not None
    with st.container(horizontal=True, vertical_alignment="center"):
        about = f"{chip(entry.state)} **{plain(header.model)}** on {plain(header.data)}"
        st.markdown(f"{about} :gray[· {instant(header.started)}]", width="content")
        link(pages, "run", "The whole run: gates, other pillars, PDF", run=entry.id)


def _attribute(source: Source) -> str | None:
    """The group column that the sections by group look at."""
    names: dict[str, None] = {}
    for check, table in ((GROUPS, "by_group"), (PROFILES, "impossibility"), (PROFILES, "thresholds")):
        found = source.table(check, table)
        if found is not None:
            names |= dict.fromkeys(found["attribute"].unique(maintain_order=True))
    if not names:
        return None
    return st.selectbox(
        "Group column",
        list(names),
        key="attribute",
        bind="query-params",
        width=340,
        help="For the groups, the thresholds and what cannot hold together; the other sections show all.",
    )
