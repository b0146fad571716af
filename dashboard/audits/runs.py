"""Every run by suite, newest first, of the states, data sets and models asked for; the address remembers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard import tables
from raiaudit.dashboard.audits.suites import by_suite
from raiaudit.dashboard.tables import Html
from raiaudit.dashboard.wording import duration, gate_counts, instant, plain, shortened, word

if TYPE_CHECKING:
    from raiaudit.audit.results import RunHeader
    from raiaudit.dashboard.reading import RunEntry

__all__ = ["show"]

_ROWS_SHOWN = 24
_HEADINGS = ("Audit", "Verdict", "Model and data", "Started", "Gates")
_Run = tuple["RunEntry", "RunHeader"]


def show(entries: Sequence[RunEntry]) -> None:
    """Draw the section. `entries` are newest first."""
    st.header("All runs", anchor=False)
    kept = _filtered(entries)
    if not kept:
        st.info("No run fits these filters.")
        return
    suites = list(by_suite(kept).values())
    shown, rows = 0, 0
    for suite in suites:
        if rows and rows + len(suite) > _ROWS_SHOWN:
            break
        shown, rows = shown + 1, rows + len(suite)
    older = sum(len(suite) for suite in suites[shown:])
    # Below the table, and yet what it says is needed above.
    place = st.container()
    everything = older and st.toggle(f"Show {older} older runs")
    if suites:
        with place:
            _table(suites if everything else suites[:shown])
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


def _table(suites: Sequence[Sequence[_Run]]) -> None:
    """One table for all: hundreds of elements of Streamlit's take a browser seconds."""
    tables.draw_groups(
        "Every run of an audit, the newest audit first; a model’s name opens its run",
        [tables.text(heading) for heading in _HEADINGS],
        [(_audit(suite[0][1]), [_row(entry, header) for entry, header in suite]) for suite in suites],
        whole=True,
    )


def _audit(header: RunHeader) -> Html:
    name = tables.text(header.spec_path or header.command or header.suite)
    return tables.joined(name, tables.less(shortened(header.purpose)))


def _row(entry: RunEntry, header: RunHeader) -> list[Html]:
    partial = tables.noted("Partial") if header.partial else Html("")
    return [
        tables.joined(tables.badge(entry.state), partial),
        tables.joined(
            tables.linked("run", tables.text(shortened(header.model)), run=entry.id),
            tables.less(f"on {shortened(header.data)}"),
        ),
        tables.joined(
            tables.text(instant(header.started)),
            tables.less(f"took {duration(header.seconds)}" if header.seconds is not None else ""),
        ),
        tables.text(gate_counts(header.gates)),
    ]
