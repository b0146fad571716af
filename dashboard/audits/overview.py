"""The first page: what runs now, the newest suite's verdicts, how numbers moved, then every run."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from raiaudit.audit.store import Home
from raiaudit.dashboard.audits import runs, suites, trends
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.reading import RunEntry, list_runs
from raiaudit.dashboard.wording import chip, plain, run_command

__all__ = ["show"]


def show(home: Home, pages: Pages) -> None:
    """Draw the page."""
    st.title("Overview", anchor=False)
    entries = list_runs(home)
    if not entries:
        _empty(home, pages)
        return
    if any(entry.state == "running" for entry in entries):
        _refresh_while_running(home, _fingerprint(entries))
    suites.show(entries, pages)
    trends.show(entries)
    runs.show(entries)
    trends.ask_for_charts()


def _empty(home: Home, pages: Pages) -> None:
    with st.container(border=True):
        st.header("No audit has been run here yet", anchor=False)
        st.markdown(
            "An audit trains or loads models, attacks and probes them, and leaves a verdict, a PDF and these "
            "pages. This command audits four small models of handwritten digits in about two minutes:"
        )
        st.code(run_command("examples/digits.yaml", home.root), language="bash")
        link(pages, "new", "Or write an audit of your own in a form")
        st.caption(f"Looking in {plain(home.root)}. Another folder: raiaudit view \\-\\-home FOLDER")
        if st.button("Look again", icon=":material/refresh:"):
            st.rerun()


def _fingerprint(entries: Sequence[RunEntry]) -> list[tuple[str, str]]:
    return [(entry.id, entry.state) for entry in entries]


@st.fragment(run_every=2)
def _refresh_while_running(home: Home, drawn: list[tuple[str, str]]) -> None:
    entries = list_runs(home)
    if _fingerprint(entries) != drawn:
        st.rerun()
    for entry in entries:
        if entry.header is not None and entry.state == "running":
            done, total = entry.header.progress
            share = done / total if total else 0.0
            st.progress(share, f"{chip('running')} {plain(entry.header.model)}: {done} of {total} tasks")
