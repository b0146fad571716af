"""The filter as widgets, all of whose settings are in the address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import streamlit as st

from raiaudit.dashboard.examples.facts import variant_words
from raiaudit.dashboard.examples.finding import ANY_ATTACK, Filter, attacks, group_columns, sortable
from raiaudit.dashboard.examples.meanings import meaning_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.results import Results
    from raiaudit.dashboard.examples.rows import ExampleRows

__all__ = ["ask"]

_ANSWERS = {"": "Right or wrong", "right": "Right", "wrong": "Wrong"}
_DOWN = "yes"
_PREFIX = "example-"  # of the widgets' keys, which all pages share; the address has the names alone


def ask(rows: ExampleRows, results: Results) -> Filter:
    """What is asked for, read from the address at first."""
    first, second = st.columns(4), st.columns(4)
    judged = rows.label is not None and rows.predicted is not None
    with first[0]:
        answer = _one("answer", "Answer", list(_ANSWERS) if judged else [""], words=_ANSWERS)
    with first[1]:
        tried = attacks(rows)
        broken = _one("broken", "Wrong under attack", ["", *([ANY_ATTACK, *tried] if tried else [])])
    classes = list(results.data.classes)
    with first[2]:
        label = _one("label", "Label", ["", *(classes if rows.label else [])])
    with first[3]:
        predicted = _one("predicted", "Answered", ["", *(classes if rows.predicted else [])])
    with second[0]:
        groups = group_columns(rows)
        group = _one("group", "Group column", ["", *groups])
    with second[1]:
        level = _one("level", "Group", ["", *results.data.groups.get(group, {})])
    with second[2]:
        sort = _one("sort", "Sort by", ["", *sortable(rows)], words={"": "id"}, column=True)
    with second[3]:
        _remember("find", st.query_params.get("find", ""))
        search = st.text_input("Part of the id", key=_PREFIX + "find", placeholder="any").strip()
        _tell("find", search)
    down = False
    if sort:
        _remember("down", st.query_params.get("down") == _DOWN)
        down = st.toggle("Largest first", key=_PREFIX + "down")
    _tell("down", _DOWN if down else "")
    return Filter(
        answer=cast('Literal["", "right", "wrong"]', answer),
        broken=broken,
        label=label,
        predicted=predicted,
        group=group,
        level=level,
        find=search,
        sort=sort,
        down=down,
    )


def _one(
    key: str, title: str, options: Sequence[str], *, words: dict[str, str] | None = None, column: bool = False
) -> str:
    """One of several; the first asks nothing. Disabled where there is nothing to choose."""

    def shown(option: str) -> str:
        if words and option in words:
            return words[option]
        if option == "":
            return "any"
        if column:
            meaning = meaning_of(option)
            return f"{meaning.title} ({option})"
        return variant_words(option) if key == "broken" else option

    named, widget = st.query_params.get(key, ""), _PREFIX + key
    _remember(key, named if named in options else "")
    if st.session_state[widget] not in options:  # those of another run
        st.session_state[widget] = ""
    chosen: str = st.selectbox(title, options, format_func=shown, key=widget, disabled=len(options) < 2)
    _tell(key, chosen)
    return chosen


def _remember(key: str, value: str | bool) -> None:
    """What the address says, when the page is opened; from then on what is chosen."""
    if _PREFIX + key not in st.session_state:
        st.session_state[_PREFIX + key] = value


def _tell(key: str, value: str) -> None:
    """Into the address: Streamlit's own binding would write what people read instead of what is chosen."""
    if value:
        st.query_params[key] = value
    elif key in st.query_params:
        del st.query_params[key]
