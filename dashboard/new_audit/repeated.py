"""Parts of a spec that there may be several of: models, uses of one check, gates of one use.

Each has a number, which is never given again: what stood in a part that was taken out is not to come back.
The first has the number 0 and the plain key `at`, the others `at#1`, `at#2` and so on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from raiaudit.dashboard.new_audit.widgets import Form

__all__ = ["BUTTON", "add", "begin", "numbered", "numbers", "remove", "repeat"]

BUTTON = "press"
"""How the names of buttons in the session begin."""

_NOT_COPIED = ("/numbers", "/next", ".name/value")


def numbered(at: str, number: int) -> str:
    """The key of the part with this number."""
    return f"{at}#{number}" if number else at


def begin(form: Form, at: str, count: int) -> None:
    """Let there be the parts 0 … `count` - 1."""
    st.session_state[form.key(at, "numbers")] = list(range(count))
    st.session_state[form.key(at, "next")] = count


def numbers(form: Form, at: str, *, first: int) -> list[int]:
    """Of the parts that there are, in their order; `first` of them if nothing was said yet."""
    if form.key(at, "numbers") not in st.session_state:
        begin(form, at, first)
    return list(st.session_state[form.key(at, "numbers")])


def add(form: Form, at: str) -> int:
    """One more, the last; its number."""
    number: int = st.session_state[form.key(at, "next")]
    st.session_state[form.key(at, "next")] = number + 1
    st.session_state[form.key(at, "numbers")].append(number)
    return number


def repeat(form: Form, at: str, number: int) -> None:
    """One more, which begins with all that stands in part `number` but its name."""
    source, target = (f"{form.prefix}/{numbered(at, each)}" for each in (number, add(form, at)))
    for key, value in list(st.session_state.items()):
        rest = str(key).removeprefix(source)
        inside = rest != key and rest[:1] in ("/", ".")
        # A button's state may not be set, and the list of parts is not one of theirs.
        if inside and rest not in _NOT_COPIED and not rest.rpartition("/")[2].startswith(BUTTON):
            st.session_state[f"{target}{rest}"] = list(value) if isinstance(value, list) else value


def remove(form: Form, at: str, number: int) -> None:
    """Take one out."""
    st.session_state[form.key(at, "numbers")].remove(number)
