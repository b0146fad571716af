"""The first page: the newest suite's models side by side, then every run by suite, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import streamlit as st

from raiaudit.audit.store import Home
from raiaudit.dashboard.audits import side_by_side
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.reading import RunEntry, list_runs
from raiaudit.dashboard.wording import chip, duration, instant, plain, run_command, word

__all__ = ["show"]

_SUITES_SHOWN = 8
_WIDTHS = [1.7, 2.6, 1.6, 2.0, 1.1, 2.4]
_HEADINGS = ["Verdict", "Model", "Data", "Started", "Time", "Gates"]


def show(home: Home, pages: Pages) -> None:
    """Draw the page."""
    st.title("Audits")
    entries = list_runs(home)
    if not entries:
        _empty(home)
        return
    running = [entry for entry in entries if entry.state == "running"]
    if running:
        _refresh_while_running(home, _fingerprint(entries))
    side_by_side.show(entries)
    st.header("All runs")
    _suites(_filtered(entries), pages)


def _empty(home: Home) -> None:
    with st.container(border=True):
        st.subheader("No audit has been run here yet")
        st.markdown(
            "An audit trains or loads models, attacks and probes them, and leaves a verdict, a PDF and these "
            "pages. This command audits four small models of handwritten digits in about two minutes:"
        )
        st.code(run_command("examples/digits.yaml", home.root), language="bash")
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


def _filtered(entries: list[RunEntry]) -> list[RunEntry]:
    states = sorted({entry.state for entry in entries})
    data = sorted({entry.header.data for entry in entries if entry.header})
    if len(entries) < 2:
        return entries
    with st.container(horizontal=True, vertical_alignment="top"):
        wanted = st.pills("Verdict", states, selection_mode="multi", format_func=word, key="verdict")
        sets = st.multiselect("Data", data, key="data", placeholder="All data sets", width=320)
    return [
        entry
        for entry in entries
        if (not wanted or entry.state in wanted)
        and (not sets or (entry.header is not None and entry.header.data in sets))
    ]


def _suites(entries: Sequence[RunEntry], pages: Pages) -> None:
    if not entries:
        st.info("No run fits these filters.")
        return
    readable = [entry for entry in entries if entry.header is not None]
    damaged = [entry for entry in entries if entry.header is None]
    # The newest run of a suite places the suite; its own runs stay in the order of the spec.
    newest = {
        entry.header.suite: index for index, entry in reversed(list(enumerate(readable))) if entry.header
    }
    by_suite = sorted(
        readable, key=lambda e: (newest[e.header.suite], e.header.started) if e.header else (0, "")
    )
    suites = [list(group) for _, group in groupby(by_suite, key=lambda e: e.header.suite if e.header else "")]
    for suite in suites[:_SUITES_SHOWN]:
        _suite(suite, pages)
    older = suites[_SUITES_SHOWN:]
    if older and st.toggle(f"Show {len(older)} older"):
        for suite in older:
            _suite(suite, pages)
    for entry in damaged:
        st.warning(
            f"**{plain(entry.id)}** cannot be listed. {plain(entry.problem)}", icon=":material/warning:"
        )


def _suite(entries: Sequence[RunEntry], pages: Pages) -> None:
    first = entries[0].header
    assert first is not None
    with st.container(border=True, gap="xsmall"):
        name = plain(first.spec_path or first.command or first.suite)
        st.markdown(f"**{name}**" + (f" :gray[· {plain(first.purpose)}]" if first.purpose else ""))
        for column, heading in zip(st.columns(_WIDTHS), _HEADINGS, strict=True):
            column.caption(heading)
        for entry in entries:
            _row(entry, pages)


def _row(entry: RunEntry, pages: Pages) -> None:
    header = entry.header
    assert header is not None
    verdict, model, data, started, time, gates = st.columns(_WIDTHS, vertical_alignment="center")
    verdict.markdown(chip(entry.state) + (" :gray-badge[partial]" if header.partial else ""))
    with model:
        link(pages, "run", plain(header.model), run=entry.id)
    data.markdown(plain(header.data))
    started.markdown(instant(header.started))
    time.markdown(duration(header.seconds))
    gates.markdown(gate_counts(header.gates))


def gate_counts(gates: dict[str, int]) -> str:
    """`5 pass · 1 fail`, worst last; a dash where no gate was decided."""
    order = ("pass", "not_run", "inconclusive", "error", "fail")
    parts = [f"{gates[status]} {status.replace('_', ' ')}" for status in order if gates.get(status)]
    return " · ".join(parts) or "—"
