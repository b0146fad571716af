"""One widget for each field of a schema, with room for the validator's words below it.

A `Form` is drawn from top to bottom and gives back what was written; the validator is asked about the whole
afterwards, and what it says is put beside the field it names. Values outlive a visit to another page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.dashboard.new_audit.values import entered, written
from raiaudit.dashboard.wording import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamlit.delta_generator import DeltaGenerator

    from raiaudit.dashboard.new_audit.checking import Problem
    from raiaudit.dashboard.new_audit.fields import Field

__all__ = ["Form"]

_WIDE = frozenset({"yaml", "group", "choices", "texts"})


@dataclass
class Form:
    """`prefix` sets its widgets apart from those of another form or of another start of this one."""

    prefix: str
    _rooms: dict[str, DeltaGenerator] = field(default_factory=dict, init=False)

    def fill(self, fields: Sequence[Field], values: Mapping[str, Any], at: str) -> None:
        """Let the widgets at `at` begin with these values. Raises `ValueError` for what they cannot show."""
        known = {each.key: each for each in fields}
        if strange := sorted(map(str, values.keys() - known.keys())):
            raise ValueError(f"the form has no field {strange[0][:60]!r} under {at}")
        for key, value in values.items():
            each = known[key]
            if value == each.default:
                continue
            if each.kind == "group":
                if not isinstance(value, dict):
                    raise ValueError(f"the form shows {key} only as a mapping of keys to values")
                st.session_state[self.key(f"{at}.{key}", "on")] = True
                self.fill(each.inner, value, f"{at}.{key}")
            else:
                st.session_state[self.key(f"{at}.{key}")] = entered(each, value)

    def key(self, at: str, what: str = "value") -> str:
        """The session's name for a widget."""
        return f"{self.prefix}/{at}/{what}"

    def draw(self, fields: Sequence[Field], at: str, *, place: str | None = None) -> dict[str, Any]:
        """Every field, two in a row; what was written, by key. `place`: the key in the spec, if not `at`."""
        found: dict[str, Any] = {}
        row: list[DeltaGenerator] = []
        for each in fields:
            if each.kind in _WIDE and not (each.kind == "yaml" and each.single):
                row, value = [], self.one(each, at, place=place)
            else:
                row = row or list(st.columns(2))
                with row.pop(0):
                    value = self.one(each, at, place=place)
            if value is not None:
                found[each.key] = value
        return found

    def one(self, each: Field, at: str, *, place: str | None = None, label: str = "") -> Any:
        """One field; what was written, or None where the key is left out."""
        place = at if place is None else place
        here, there = f"{at}.{each.key}", ".".join(part for part in (place, each.key) if part)
        if each.kind == "group":
            return self._group(each, here, there)
        value = written(each, self._widget(each, here, label or each.label))
        self.room(there)
        return value

    def room(self, place: str) -> None:
        """Here stands what is wrong with the key `place`."""
        self._rooms[place] = st.empty()

    def tell(self, problems: Sequence[Problem]) -> None:
        """Put each problem beside the innermost field it concerns, where one is drawn."""
        told: dict[str, list[str]] = {}
        for problem in problems:
            fitting = [place for place in self._rooms if problem.concerns(place)]
            if fitting:
                told.setdefault(max(fitting, key=len), []).append(problem.text)
        for place, texts in told.items():
            lines = "  \n".join(f":material/error: {plain(text)}" for text in texts)
            self._rooms[place].markdown(f":red[{lines}]")

    def _group(self, each: Field, here: str, there: str) -> dict[str, Any] | None:
        if each.optional or not each.required:
            on = st.checkbox(
                each.label,
                key=self._remembered(here, "on", False),
                help=plain(each.help) or None,
                persist_state="session",
            )
            self.room(there)
            if not on:
                return None
        with st.container(border=True):
            return self.draw(each.inner, here, place=there)

    def _widget(self, each: Field, here: str, label: str) -> Any:
        usual = f"default: {each.usual}" if each.usual else ""
        name = label if not each.required else f"{label} \\*"
        help_text = plain(each.help) or None
        match each.kind:
            case "boolean":
                key = self._remembered(here, "value", bool(each.default))
                return st.checkbox(name, key=key, help=help_text, persist_state="session")
            case "choice":
                key = self._remembered(here, "value", None)
                return st.selectbox(
                    name,
                    each.choices,
                    index=None,
                    key=key,
                    help=help_text,
                    placeholder=usual or "default",
                    persist_state="session",
                )
            case "choices" | "texts":
                key = self._remembered(here, "value", [])
                kept = [item for item in st.session_state[key] if item not in each.choices]
                return st.multiselect(
                    name,
                    [*each.choices, *kept],
                    key=key,
                    help=help_text,
                    placeholder=usual or ("choose" if each.choices else "type a name, then Enter"),
                    accept_new_options=each.kind == "texts",
                    persist_state="session",
                )
            case "integer":
                return self._integer(each, here, name, help_text, usual)
            case "yaml" if not each.single:
                key = self._remembered(here, "value", "")
                return st.text_area(
                    name, key=key, help=help_text, placeholder=usual, height=70, persist_state="session"
                )
            case _:
                if each.choices:
                    return self._suggested(each, here, name, help_text, usual)
                key = self._remembered(here, "value", "")
                return st.text_input(
                    name, key=key, help=help_text, placeholder=usual, live=True, persist_state="session"
                )

    def _integer(self, each: Field, here: str, name: str, help_text: str | None, usual: str) -> Any:
        # No bounds: Streamlit would mend what is written, and the validator could not say what was wrong.
        key = self._remembered(here, "value", None)
        return st.number_input(
            name, value=None, step=1, key=key, help=help_text, placeholder=usual, persist_state="session"
        )

    def _suggested(self, each: Field, here: str, name: str, help_text: str | None, usual: str) -> Any:
        """A text that may be one of the names that are known."""
        key = self._remembered(here, "value", None)
        now = st.session_state[key]
        return st.selectbox(
            name,
            [*each.choices, *([now] if now and now not in each.choices else [])],
            index=None,
            key=key,
            help=help_text,
            placeholder=usual or "choose or type",
            accept_new_options=True,
            persist_state="session",
        )

    def _remembered(self, here: str, what: str, first: Any) -> str:
        """The session's name for a widget whose value is there; not chosen and not written are one."""
        key = self.key(here, what)
        if st.session_state.get(key) in (None, ""):
            st.session_state[key] = first
        return key
