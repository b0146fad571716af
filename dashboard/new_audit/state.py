"""What a session has written so far, as a form or as YAML; kept while it visits other pages.

A form is begun anew under another number, so that its widgets are new ones and show what they are told to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.audit.yaml_source import read_yaml
from raiaudit.dashboard.new_audit.beginnings import DIGITS, EMPTY, drafted, of_model
from raiaudit.dashboard.new_audit.data_section import chosen_now
from raiaudit.dashboard.new_audit.form import SpecForm
from raiaudit.dashboard.new_audit.widgets import Form
from raiaudit.dashboard.wording import plain
from raiaudit.errors import RaiauditError, SpecError

if TYPE_CHECKING:
    from raiaudit.dashboard.jobs.job import JobKind

__all__ = ["State"]


@dataclass(frozen=True, slots=True)
class State:
    """Of the form for an audit, or of that for a training."""

    kind: JobKind

    @property
    def audits(self) -> bool:
        """Whether it is the form of an audit."""
        return self.kind == "audit"

    def key(self, what: str) -> str:
        """The session's name for a part of this state."""
        return f"new_{self.kind}.{what}"

    def form(self) -> SpecForm:
        """The form as it stands; the first one shows the example, or the model that the address names."""
        asked = st.query_params.get("model")
        if asked and asked != st.session_state.get(self.key("asked")):
            st.session_state[self.key("asked")] = asked
            self._begin(of_model(asked, st.query_params.get("data", "")))
        elif self.key("number") not in st.session_state:
            self._begin(DIGITS)
        return SpecForm(Form(f"{self.kind}{st.session_state[self.key('number')]}"), self.audits)

    def choose_mode(self) -> bool:
        """The switch between form and YAML; whether it is the form."""
        key = self.key("mode")
        if key not in st.session_state:
            st.session_state[key] = "Form"
        chosen = st.segmented_control(
            "Write it as", ["Form", "YAML"], key=key, required=True, persist_state="session"
        )
        return chosen == "Form"

    def offer_beginnings(self, *, drafts: bool) -> None:
        """Buttons that begin anew; with `drafts` also from what `raiaudit init` makes of the data chosen."""
        with st.container(horizontal=True, vertical_alignment="bottom", width="content"):
            for name, spec, icon in (("Digits, a minute", DIGITS, "bolt"), ("Empty", EMPTY, "ink_eraser")):
                st.button(
                    name,
                    key=self.key(f"begin {icon}"),
                    on_click=self._begin,
                    args=(spec,),
                    icon=f":material/{icon}:",
                )

            if drafts:
                st.button(
                    "Suggest the rest",
                    key=self.key("begin draft"),
                    on_click=self._begin_with_draft,
                    icon=":material/wand_stars:",
                    help="Looks at the data chosen below and fills in columns, model, checks and gates.",
                )

    def keep(self, text: str) -> None:
        """Where the YAML begins, should it be asked for."""
        st.session_state[self.key("text")] = text
        st.session_state.pop(self.key("editor"), None)

    def edit(self) -> str:
        """The box for YAML; what it holds."""
        key, kept = self.key("editor"), self.key("text")
        if key not in st.session_state:
            st.session_state[key] = st.session_state.get(kept, "")
        text = st.text_area(
            "The spec",
            key=key,
            height=520,
            help="Relative paths in it start in the folder the spec is written to: specs, in the home.",
        )
        st.session_state[kept] = text
        st.button("Show it in the form", on_click=self._show_in_form, icon=":material/edit_note:")
        return text

    def name_of(self, text: str) -> str:
        """The spec's own name, or its model's, for the file."""
        try:
            data = read_yaml(Path("spec.yaml"), text=text).data
        except SpecError:
            return self.kind
        model = data.get("model")
        names = [part.get("name") for part in (data, model) if isinstance(part, dict)]
        return next((name for name in names if isinstance(name, str) and name), self.kind)

    def _begin(self, spec: Mapping[str, Any]) -> None:
        """A new form that shows `spec`. Raises `ValueError` if it cannot; the old one stays then."""
        number = st.session_state.get(self.key("number"), -1) + 1
        SpecForm(Form(f"{self.kind}{number}"), self.audits).begin(
            spec if self.audits else {key: spec[key] for key in ("data", "model", "run") if key in spec}
        )
        st.session_state[self.key("number")] = number
        st.session_state[self.key("mode")] = "Form"

    def _show_in_form(self) -> None:
        try:
            self._begin(read_yaml(Path("spec.yaml"), text=st.session_state[self.key("editor")]).data)
        except (ValueError, SpecError) as error:
            st.session_state[self.key("unfit")] = f"It stays YAML: {error}"

    def _begin_with_draft(self) -> None:
        chosen = chosen_now(self.form().form)
        try:
            self._begin(drafted(chosen))
        except (ValueError, RaiauditError, OSError) as error:
            st.session_state[self.key("unfit")] = str(error)

    def say_unfit(self) -> None:
        """Why the last button that was to fill the form could not."""
        if (problem := st.session_state.pop(self.key("unfit"), None)) is not None:
            st.info(plain(problem), icon=":material/info:")
