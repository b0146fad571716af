"""What the sections of the form share: names they offer, fields of a model, how a source is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.dashboard.new_audit.fields import Field, fields_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from raiaudit.dashboard.new_audit.widgets import Form

__all__ = ["Known", "absolute", "choosable_fields", "choose_source", "mapping", "ordered"]


@dataclass(frozen=True, slots=True)
class Known:
    """Names to offer: registered models, metrics by check, the data's columns; and the data's kind.

    `local`: for somebody who sits at this machine, so that files may be looked for.
    """

    models: Sequence[str] = ()
    metrics: Mapping[str, Sequence[str]] = field(default_factory=dict)
    modality: str | None = None
    columns: Sequence[str] = ()
    local: bool = False


def choosable_fields(model: type[BaseModel]) -> list[Field]:
    """The fields of a part of the spec; a key that admits one value needs no widget."""
    return list(_choosable(model))


@cache
def _choosable(model: type[BaseModel]) -> list[Field]:
    return [each for each in fields_of(model.model_json_schema(by_alias=True)) if len(each.choices) != 1]


def ordered(fields: Sequence[Field], keys: Sequence[str]) -> list[Field]:
    """Of `fields` those with these keys, in the order of the keys."""
    return sorted((each for each in fields if each.key in keys), key=lambda each: keys.index(each.key))


def choose_source(form: Form, at: str, label: str, choices: Mapping[str, str], first: str) -> str:
    """Where data or model come from: one of `choices` (key → words). `label`: for those who hear it."""
    key = form.key(at, "source")
    if st.session_state.get(key) not in choices:
        st.session_state[key] = first
    if len(choices) == 1:
        return first
    chosen = st.segmented_control(
        label,
        list(choices),
        format_func=choices.__getitem__,
        key=key,
        label_visibility="collapsed",
        required=True,
        persist_state="session",
    )
    return str(chosen)


def mapping(value: Any) -> dict[str, Any]:
    """`value`, if it is one. Raises `ValueError`."""
    if not isinstance(value, dict):
        raise ValueError("the form expects a mapping of keys to values here")
    return value


def absolute(path: str) -> str:
    """As seen from where the dashboard was started: the spec will lie elsewhere."""
    try:
        return str(Path(path).expanduser().absolute())
    except (RuntimeError, OSError):  # a home folder nobody has
        return path
