"""Which run a page is about: the one `?run=` names, or the one picked; the address follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.wording import instant, plain, word

if TYPE_CHECKING:
    from raiaudit.dashboard.reading import RunEntry

__all__ = ["choose_run"]


def choose_run(entries: list[RunEntry]) -> RunEntry:
    """Of one or more, newest first."""
    by_id = {entry.id: entry for entry in entries}
    asked = st.query_params.get("run")
    if asked is not None and asked not in by_id:
        st.warning(f"There is no run {plain(asked)} here; this is the newest one.", icon=":material/warning:")
    ids = list(by_id)
    chosen = st.selectbox(
        "Run",
        ids,
        index=ids.index(asked) if asked in by_id else 0,
        format_func=lambda id_: _title(by_id[id_]),
    )
    if chosen != asked:
        st.query_params["run"] = chosen
    return by_id[chosen]


def _title(entry: RunEntry) -> str:
    if entry.header is None:
        return f"{entry.id} · damaged"
    header = entry.header
    return f"{header.model} on {header.data} · {instant(header.started)} · {word(entry.state)} · {entry.id}"
