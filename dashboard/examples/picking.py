"""Which example is shown: the one that the address names, or one picked among those that match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.dashboard.examples.rows import ID
from raiaudit.dashboard.wording import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from raiaudit.dashboard.examples.finding import Filter

__all__ = ["go", "pick"]

_KEY, _SHOWN, _ASKED, _LIST = "example", "example-shown", "example-asked", "example-list"
_BEFORE, _AFTER = 100, 400  # of those that match around the one shown, in the list to choose from
_TABLED = 1000
_MARKS = {True: " ✓", False: " ✗", None: ""}


def pick(run: str, found: pl.DataFrame, chosen: Filter, known: Callable[[str], bool]) -> str | None:
    """The example's id; the address follows. None where nothing matches and the address names nothing.

    An example outside the filter is shown if it is `known`. Another run shows the same example if it has it.
    """
    ids = found[ID].to_list()
    asked_anew = st.session_state.get(_ASKED, (run, chosen)) != (run, chosen)
    st.session_state[_ASKED] = (run, chosen)
    asked = _asked()
    place = _place(ids, asked)
    if place is None and (asked is None or asked_anew or not _is_known(asked, known)):
        if not ids:
            return None
        place = 0
    example = str(asked) if place is None else ids[place]
    st.session_state[_KEY] = st.session_state[_SHOWN] = st.query_params[_KEY] = example
    _draw(found, ids, place, example)
    return example


def _asked() -> str | None:
    """What the address names if it has changed since this page was drawn, else what was picked here."""
    named = st.query_params.get(_KEY)
    picked: str | None = st.session_state.get(_KEY)
    return named if named != st.session_state.get(_SHOWN) else picked or named


def _is_known(example: str, known: Callable[[str], bool]) -> bool:
    if known(example):
        return True
    st.warning(f"This run knows no example {plain(example)}.", icon=":material/warning:")
    return False


def _draw(found: pl.DataFrame, ids: Sequence[str], place: int | None, example: str) -> None:
    at = 0 if place is None else place
    options = list(ids[max(0, at - _BEFORE) : at + _AFTER])
    if place is None:
        options.insert(0, example)
    titles = {row[ID]: _title(row) for row in found.filter(found[ID].is_in(options)).to_dicts()}
    position = f"Example {at + 1:,} of {len(ids):,} that match"
    if place is None:
        position = f"Example (not among the {len(ids):,} that match)"
    before = ids[at - 1] if at else None
    after = next(iter(ids[at if place is None else at + 1 :]), None)
    back, here, forth = st.columns([1, 5, 1], vertical_alignment="bottom")
    with back:
        _step("Previous", "arrow_back", before)
    with here:
        st.selectbox(
            position,
            options,
            format_func=lambda id_: titles.get(id_, id_),
            key=_KEY,
        )
    with forth:
        _step("Next", "arrow_forward", after)
    with st.expander(f"List of the {len(ids):,} that match"):
        _table(found)


def _step(label: str, icon: str, example: str | None) -> None:
    st.button(
        label,
        icon=f":material/{icon}:",
        width="stretch",
        disabled=example is None,
        on_click=go,
        args=(example,),
    )


def go(example: str) -> None:
    """Show this one from the next run of the page on, as a button's callback."""
    st.session_state[_KEY] = example


def _place(ids: Sequence[str], example: str | None) -> int | None:
    try:
        return None if example is None else ids.index(example)
    except ValueError:
        return None


def _title(row: Mapping[str, Any]) -> str:
    """`digits/00019: 9 → 4 ✗`, as far as it is known."""
    if row["predicted"] is None:
        return str(row[ID])
    label = "" if row["label"] is None else f"{row['label']} "
    return f"{row[ID]}: {label}→ {row['predicted']}{_MARKS[row['right']]}"


def _table(found: pl.DataFrame) -> None:
    """The first of those that match; a row picked there is shown."""
    shown = found.head(_TABLED)
    if shown.height < found.height:
        st.caption(f"The first {_TABLED:,}.")
    ids = shown[ID].to_list()
    titles = {ID: "Example", "label": "Label", "predicted": "Answer", "right": "Right", "by": "Sorted by"}
    st.dataframe(
        shown.rename({name: title for name, title in titles.items() if name in shown.columns}),
        hide_index=True,
        key=_LIST,
        on_select=lambda: _go_to_row(ids),
        selection_mode="single-row",
        alt="The examples that match: id, label, answer, whether it is right",
    )


def _go_to_row(ids: Sequence[str]) -> None:
    rows = st.session_state[_LIST]["selection"]["rows"]
    if rows:
        go(ids[rows[0]])
