"""One run: its verdict and gates, what it did not test, then the evidence by pillar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.audit.gating import rule, today
from raiaudit.dashboard.choosing import choose_run
from raiaudit.dashboard.nothing import say_nothing_yet
from raiaudit.dashboard.pages import Pages
from raiaudit.dashboard.pillars import PILLARS, pillar_of
from raiaudit.dashboard.reading import RunEntry, list_runs, results_of
from raiaudit.dashboard.run import downloads, gates, pillars, provenance, states
from raiaudit.dashboard.wording import chip, duration, gate_counts, instant, plain, shortened
from raiaudit.errors import StorageError
from raiaudit.reports.words.wording import check_title

if TYPE_CHECKING:
    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Home

__all__ = ["show"]


def show(home: Home, pages: Pages) -> None:
    """Draw the run that `?run=` names, the newest without it."""
    entries = list_runs(home)
    if not entries:
        st.title("Run", anchor=False)
        say_nothing_yet(home, pages, "There is no run to show yet.", "raiaudit run examples/digits.yaml")
        return
    entry = choose_run(entries)
    if entry.header is None:
        st.title(plain(entry.id), anchor=False)
        states.damaged(entry.problem or "")
        return
    _headline(entry)
    if entry.state == "running":
        states.running(entry.run)
    elif entry.state in ("failed", "interrupted"):
        states.stopped(entry.run, entry.header)
    else:
        try:
            results = results_of(entry.run)
        except StorageError as error:
            states.damaged(str(error))
            return
        _finished(entry, results, pages)


def _headline(entry: RunEntry) -> None:
    header = entry.header
    assert header is not None
    partial = " :gray-badge[partial: not all examples]" if header.partial else ""
    facts = [f"{plain(header.data)} ({plain(header.modality)})", instant(header.started)]
    if header.seconds is not None:
        facts.append(duration(header.seconds))
    facts += [plain(text) for text in (header.owner, header.risk_class) if text]
    # Stays in sight while the evidence scrolls below it.
    with st.container(key="summary", horizontal=True, vertical_alignment="center"):
        st.title(plain(shortened(header.model)), anchor=False, width="content")
        gates_so_far = gate_counts(header.gates) if header.gates else ""
        st.markdown(f"{chip(entry.state)}{partial} {gates_so_far}", width="content")
    st.markdown(f":gray[{' · '.join(facts)}]")
    if header.purpose:
        st.markdown(plain(header.purpose))
    if header.partial:
        st.warning(
            "Partial: \\-\\-limit cut the examples. Do not report these numbers as the audit.",
            icon=":material/content_cut:",
        )


def _finished(entry: RunEntry, results: Results, pages: Pages) -> None:
    _waivers(results)
    downloads.show(entry)
    scope, untested = st.columns(2, gap="large")
    with scope:
        _scope(results)
    with untested:
        _not_tested(results)
    st.header("Gates", anchor=False)
    gates.show(entry.run, results, pages)
    st.header("Evidence", anchor=False)
    pillars.show(entry.run, results, pages)
    st.header("Provenance", anchor=False)
    provenance.show(entry, results)


def _waivers(results: Results) -> None:
    """What the run counts as today, where that differs from what was measured, and waivers that are spent."""
    ruling = rule(results, today())
    if ruling.waived:
        st.info(
            f"Today this run counts as {chip(ruling.status)}, for somebody has answered for "
            f"{len(ruling.waived)} of its gates. What was measured stays as it was.",
            icon=":material/history_edu:",
        )
    if ruling.expired:
        st.warning(
            f"Waivers have expired; the gates they were for count again: {len(ruling.expired)}.",
            icon=":material/event_busy:",
        )


def _scope(results: Results) -> None:
    st.header("Scope", anchor=False)
    ran = [check for check in results.checks if check.status == "ran"]
    lines = [
        f"- {results.data.audited:,} of {sum(results.data.sizes.values()):,} examples of "
        f"**{plain(results.data.name)}**, {len(results.data.classes)} classes",
        f"- {len(ran)} of {len(results.checks)} checks ran, {len(results.measurements)} measurements, "
        f"{len(results.verdicts)} gates",
        f"- seed {results.seed}",
    ]
    st.markdown("\n".join(lines))


def _not_tested(results: Results) -> None:
    st.header("Not tested", anchor=False)
    lines = [
        f"- {chip(check.status)} **{plain(check_title(check.check))}**: {plain(check.reason or 'no reason')}"
        for check in results.checks
        if check.status != "ran"
    ]
    planned = {pillar_of(check.check) for check in results.checks}
    left_out = [name for name in PILLARS if name not in planned]
    if left_out:
        lines.append(f"- Not in the spec: {', '.join(left_out)}")
    st.markdown("\n".join(lines) if lines else "Everything the spec asked for was tested.")
