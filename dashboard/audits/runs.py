"""Every run by suite, newest first, of the states, data sets and models asked for; the address remembers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.audits.suites import by_suite
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.wording import chip, duration, gate_counts, instant, plain, word

if TYPE_CHECKING:
    from raiaudit.audit.results import RunHeader
    from raiaudit.dashboard.reading import RunEntry

__all__ = ["show"]

_ROWS_SHOWN = 24
_WIDTHS = [1.7, 2.6, 1.6, 2.0, 1.1, 2.4]
_HEADINGS = ["Verdict", "Model", "Data", "Started", "Time", "Gates"]
_Run = tuple["RunEntry", "RunHeader"]


def show(entries: Sequence[RunEntry], pages: Pages) -> None:
    """Draw the section. `entries` are newest first."""
    st.header("All runs", anchor=False)
    kept = _filtered(entries)
    if not kept:
        st.info("No run fits these filters.")
        return
    found = by_suite(kept)
    shown, rows = 0, 0
    for suite in found.values():
        if rows and rows + len(suite) > _ROWS_SHOWN:
            break
        shown, rows = shown + 1, rows + len(suite)
    suites = list(found.values())
    for suite in suites[:shown]:
        _suite(suite, pages)
    older = sum(len(suite) for suite in suites[shown:])
    if older and st.toggle(f"Show {older} older runs"):
        for suite in suites[shown:]:
            _suite(suite, pages)
    for entry in kept:
        if entry.header is None:
            st.warning(
                f"**{plain(entry.id)}** cannot be listed. {plain(entry.problem)}", icon=":material/warning:"
            )


def _filtered(entries: Sequence[RunEntry]) -> Sequence[RunEntry]:
    if len(entries) < 2:
        return entries
    states = sorted({entry.state for entry in entries})
    data = sorted({entry.header.data for entry in entries if entry.header})
    with st.container(horizontal=True, vertical_alignment="top"):
        wanted = st.pills(
            "Verdict", states, selection_mode="multi", format_func=word, key="verdict", bind="query-params"
        )
        sets = st.multiselect(
            "Data", data, key="data", placeholder="All data sets", width=280, bind="query-params"
        )
        name = st.text_input(
            "Model", key="model", placeholder="Part of a name", width=240, bind="query-params"
        )
    return [
        entry
        for entry in entries
        if (not wanted or entry.state in wanted)
        and (not sets or (entry.header is not None and entry.header.data in sets))
        and (not name or (entry.header is not None and name.casefold() in entry.header.model.casefold()))
    ]


def _suite(suite: Sequence[_Run], pages: Pages) -> None:
    first = suite[0][1]
    with st.container(border=True, gap="xsmall"):
        name = plain(first.spec_path or first.command or first.suite)
        st.markdown(f"**{name}**" + (f" :gray[· {plain(first.purpose)}]" if first.purpose else ""))
        for column, heading in zip(st.columns(_WIDTHS), _HEADINGS, strict=True):
            column.caption(heading)
        for entry, header in suite:
            _row(entry, header, pages)


def _row(entry: RunEntry, header: RunHeader, pages: Pages) -> None:
    verdict, model, data, started, time, gates = st.columns(_WIDTHS, vertical_alignment="center")
    verdict.markdown(chip(entry.state) + (" :gray-badge[partial]" if header.partial else ""))
    with model:
        link(pages, "run", plain(header.model), run=entry.id)
    data.markdown(plain(header.data))
    started.markdown(instant(header.started))
    time.markdown(duration(header.seconds))
    gates.markdown(gate_counts(header.gates))
