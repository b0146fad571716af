"""The newest suite's models side by side: every gate of the spec as a row, every model as a column."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from raiaudit.audit.gates import Verdict
from raiaudit.audit.results import Results
from raiaudit.dashboard.reading import RunEntry, results_of
from raiaudit.dashboard.wording import chip, interval, plain, value
from raiaudit.errors import StorageError

__all__ = ["show"]


def show(entries: Sequence[RunEntry]) -> None:
    """Draw the section; nothing where no run has finished. `entries` are newest first."""
    finished = [entry for entry in entries if entry.header is not None and entry.header.status == "finished"]
    if not finished:
        return
    assert finished[0].header is not None
    suite = finished[0].header.suite
    siblings = [entry for entry in finished if entry.header is not None and entry.header.suite == suite]
    siblings.sort(key=lambda entry: (entry.header.started if entry.header else "", entry.id))
    results = []
    for entry in siblings:
        try:
            results.append(results_of(entry.run))
        except StorageError as error:
            st.warning(f"**{plain(entry.id)}** is left out. {plain(error)}", icon=":material/warning:")
    if results:
        _compare(results, finished[0].header.spec_path or suite)


def _compare(results: Sequence[Results], suite: str) -> None:
    st.header(f"Newest: {plain(suite)}")
    data = results[0].data
    st.caption(
        f"{plain(data.name)} · {results[0].data.audited:,} audited examples · 95 % intervals below each value"
    )
    columns = {"Gate": [_question(verdict) for verdict in results[0].verdicts]}
    for result in results:
        answers = {_question(verdict): _answer(verdict) for verdict in result.verdicts}
        columns[f"{plain(result.subject.name)}"] = [
            answers.get(question, "—") for question in columns["Gate"]
        ]
    columns["Gate"].insert(0, "**Verdict**")
    for result in results:
        columns[plain(result.subject.name)].insert(0, chip(result.verdict))
    st.table(
        columns,
        border="horizontal",
        hide_index=True,
        alt="Each gate's result for each model of the newest suite",
    )


def _question(verdict: Verdict) -> str:
    if verdict.gate is None:
        return plain(verdict.check)
    parts = " · ".join(f"{key} {val}" for key, val in _rounded(verdict).items())
    name = plain(verdict.gate.metric.replace("_", " "))
    return f"{name} {plain(verdict.gate.threshold())}" + (f"  \n:gray[{plain(parts)}]" if parts else "")


def _rounded(verdict: Verdict) -> dict[str, str]:
    assert verdict.gate is not None
    return {
        key: f"{val:.4g}" if isinstance(val, float) else str(val) for key, val in verdict.gate.where.items()
    }


def _answer(verdict: Verdict) -> str:
    if verdict.measurement is None:
        return chip(verdict.status)
    low_high = interval(verdict.measurement)
    text = f"{chip(verdict.status)} **{value(verdict.measurement)}**"
    return f"{text}  \n:gray[{low_high}]" if low_high else text
