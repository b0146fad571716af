"""Which runs are compared: those `?runs=a,b` names, or those picked; the first is the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.wording import instant, plain
from raiaudit.models.names import PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.dashboard.reading import RunEntry

__all__ = ["choose_runs", "comparable"]

_AT_ONCE = 4


def comparable(entries: Sequence[RunEntry]) -> list[RunEntry]:
    """Finished runs that kept their examples, newest first."""
    return [
        entry
        for entry in entries
        if entry.header and entry.header.status == "finished" and entry.header.modality != PREDICTIONS
    ]


def choose_runs(entries: Sequence[RunEntry], offered: Sequence[RunEntry]) -> list[RunEntry]:
    """Of two or more that are offered; the address follows. What it names and cannot be had is said."""
    by_id = {entry.id: entry for entry in offered}
    asked = [name for name in st.query_params.get("runs", "").split(",") if name]
    for name in dict.fromkeys(asked):
        if name not in by_id:
            st.warning(f"{plain(name)} is left out: {_why(name, entries)}.", icon=":material/warning:")
    wanted = [name for name in dict.fromkeys(asked) if name in by_id]
    if not asked:
        wanted = _newest_suite(offered)
    chosen = st.multiselect(
        "Runs, the reference first",
        _same_data_first(offered, wanted),
        default=wanted,
        format_func=lambda id_: _title(by_id[id_]),
        placeholder="Pick two runs or more on the same data",
        help="Every other run is held against the first",
    )
    if chosen != asked:
        st.query_params["runs"] = ",".join(chosen)
    return [by_id[name] for name in chosen]


def _why(name: str, entries: Sequence[RunEntry]) -> str:
    entry = next((entry for entry in entries if entry.id == name), None)
    if entry is None:
        return "there is no such run here"
    if entry.header is None:
        return f"it is damaged ({plain(entry.problem)})"
    if entry.header.status != "finished":
        return f"it is {entry.header.status}"
    return "it is of a file of predictions, which keeps counts, not examples that could be paired"


def _newest_suite(offered: Sequence[RunEntry]) -> list[str]:
    """What one spec started last, in its order, if that was more than one run."""
    newest = offered[0].header
    assert newest is not None
    siblings = [entry for entry in offered if entry.header and entry.header.suite == newest.suite]
    ordered = sorted(siblings, key=lambda entry: (entry.header.started if entry.header else "", entry.id))
    return [entry.id for entry in ordered[:_AT_ONCE]] if len(ordered) > 1 else []


def _same_data_first(offered: Sequence[RunEntry], wanted: Sequence[str]) -> list[str]:
    data = {entry.id: (entry.header.data, entry.header.partial) for entry in offered if entry.header}
    reference = data[wanted[0]] if wanted else None
    return sorted(data, key=lambda id_: data[id_] != reference) if reference else list(data)


def _title(entry: RunEntry) -> str:
    header = entry.header
    assert header is not None
    partial = " · partial" if header.partial else ""
    return f"{header.model} on {header.data}{partial} · {instant(header.started)} · {entry.id}"
