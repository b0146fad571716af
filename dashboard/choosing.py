"""Which run a page is about: the one `?run=` names, or the one picked; the address follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.wording import instant, plain, shortened, visible, word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raiaudit.dashboard.reading import RunEntry

__all__ = ["choose", "choose_run"]

_LOOKED_AT = "run-looked-at"


def choose_run(entries: list[RunEntry]) -> RunEntry:
    """Of one or more, newest first. Without an address, the run looked at last, so that pages keep to it."""
    by_id = {entry.id: entry for entry in entries}
    if "run" not in st.query_params and (last := st.session_state.get(_LOOKED_AT)) in by_id:
        st.query_params["run"] = last
    chosen = choose("run", "Run", list(by_id), lambda id_: _title(by_id[id_]))
    st.session_state[_LOOKED_AT] = chosen
    return by_id[chosen]


def choose(key: str, label: str, options: Sequence[str], title: Callable[[str], str]) -> str:
    """One of `options`, kept in the address as `key`; without it, or where it is unknown, the first."""
    asked = st.query_params.get(key)
    if asked is not None and asked not in options:
        st.warning(
            f"There is no {label.lower()} {plain(asked)} here; this is the newest one.",
            icon=":material/warning:",
        )
    # A widget of its own name: one that is known by its first option would be another once the address
    # has changed, and forget what was picked.
    widget, shown = f"choose-{key}", f"chosen-{key}"
    followed = asked != st.session_state.get(shown) or widget not in st.session_state
    if asked in options and followed:
        st.session_state[widget] = asked
    elif st.session_state.get(widget) not in options:
        st.session_state[widget] = options[0]
    chosen: str = st.selectbox(label, options, format_func=title, key=widget)
    st.session_state[shown] = chosen
    if chosen != asked:
        st.query_params[key] = chosen
    return chosen


def _title(entry: RunEntry) -> str:
    if entry.header is None:
        return f"{entry.id} · damaged"
    header = entry.header
    names = f"{visible(shortened(header.model))} on {visible(shortened(header.data))}"
    return f"{names} · {instant(header.started)} · {word(entry.state)} · {entry.id}"
