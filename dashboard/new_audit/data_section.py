"""The form's data: a set of the catalogue, or files with the columns that mean something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.audit.model_spec import as_name
from raiaudit.audit.spec import NamedData
from raiaudit.dashboard.new_audit.section import (
    Known,
    absolute,
    choosable_fields,
    choose_source,
    mapping,
    ordered,
)
from raiaudit.dashboard.wording import plain
from raiaudit.models.data import DATASETS, UserData

if TYPE_CHECKING:
    from raiaudit.dashboard.new_audit.widgets import Form

__all__ = ["begin", "chosen_now", "draw"]

_SOURCES = {"named": "A known data set", "files": "Your own files"}
_FIRST = ("path", "label", "id", "groups")
_COLUMNS = frozenset({"id", "label", "split", "groups", "links", "text", "drop", "categorical", "immutable"})
_FILES = frozenset({"path", "train", "validation", "test"})
_COLUMNS_SHOWN = 12


def begin(form: Form, data: Any) -> None:
    """Show this part of a spec. Raises `ValueError` if the form cannot."""
    data = mapping(data)
    named = data.keys() <= {"name"}
    st.session_state[form.key("data", "source")] = "named" if named else "files"
    if named:
        form.fill(choosable_fields(NamedData), data, "named")
    else:
        form.fill(choosable_fields(UserData), data, "data")


def chosen_now(form: Form) -> dict[str, str]:
    """What names the data before the form is drawn: `name`, or `path`, `text` and so on; what is chosen."""
    if st.session_state.get(form.key("data", "source"), "named") == "named":
        places = {"name": "named.name"}
    else:
        places = {key: f"data.{key}" for key in ("path", "label", "id", "text")}
    found = {key: st.session_state.get(form.key(place)) for key, place in places.items()}
    return {key: value for key, value in found.items() if isinstance(value, str) and value}


def draw(form: Form, known: Known) -> dict[str, Any]:
    """The section; what it says."""
    if choose_source(form, "data", "Where the data come from", _SOURCES, "named") == "named":
        (name,) = choosable_fields(NamedData)
        offered = replace(name, choices=tuple(DATASETS))
        chosen = form.one(offered, "named", place="data", label="Data set")
        form.room("data")
        return {"name": chosen} if chosen else {}
    fields = [
        replace(each, choices=tuple(known.columns)) if each.key in _COLUMNS and known.columns else each
        for each in choosable_fields(UserData)
    ]
    st.caption(_about(known))
    found = form.draw(ordered(fields, _FIRST), "data")
    with st.expander("More about the data"):
        found |= form.draw([each for each in fields if each.key not in _FIRST], "data")
    form.room("data")
    return _named(found, local=known.local)


def _about(known: Known) -> str:
    if not known.columns:
        return "One table (CSV, TSV, Parquet), a folder of images with metadata.csv, or arrays (npz)."
    more = ", …" if len(known.columns) > _COLUMNS_SHOWN else ""
    return f"Columns found: {plain(', '.join(known.columns[:_COLUMNS_SHOWN]))}{more}"


def _named(found: Mapping[str, Any], *, local: bool) -> dict[str, Any]:
    """With paths that hold wherever the spec lies, and a name, by default the file's."""
    whole = {key: absolute(value) if local and key in _FILES else value for key, value in found.items()}
    file = whole.get("path") or whole.get("test")
    return whole if "name" in whole or not file else {"name": as_name(Path(file).stem), **whole}
