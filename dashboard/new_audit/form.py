"""The form of a spec: data, models, checks by pillar with options and gates, context. Made from the schema.

What the form adds to the schema is which keys stand first, and names to choose from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.audit.spec import Context, Policy, RunOptions
from raiaudit.dashboard.new_audit import checks_section, data_section, model_section
from raiaudit.dashboard.new_audit.fields import Field
from raiaudit.dashboard.new_audit.section import Known, choosable_fields, mapping

if TYPE_CHECKING:
    from pydantic import BaseModel

    from raiaudit.dashboard.new_audit.widgets import Form

__all__ = ["SpecForm"]

_NAME = Field("name", "text", description="of the file and of its runs; letters, digits, dots and dashes")
_PLAIN: dict[str, type[BaseModel]] = {"context": Context, "run": RunOptions, "policy": Policy}


@dataclass(frozen=True, slots=True)
class SpecForm:
    """Draws into `form`. Without `audits`, the form of a training: no checks, no gates."""

    form: Form
    audits: bool = True

    def begin(self, spec: Mapping[str, Any]) -> None:
        """Show this spec. Raises `ValueError` if there is something in it that the form cannot show."""
        rest = {key: value for key, value in spec.items() if key not in ("apiVersion", "kind")}
        models = rest.pop("models", None)
        if models is None:
            models = [rest.pop("model", {})]
        elif "model" in rest:
            raise ValueError("a spec has `model` or `models`, not both")
        if not self.audits and isinstance(models, list) and len(models) > 1:
            raise ValueError("the form of a training is for one model")
        data_section.begin(self.form, rest.pop("data", {}))
        model_section.begin(self.form, models)
        checks = rest.pop("checks", [])
        if self.audits:
            checks_section.begin(self.form, checks)
        for key, model in _PLAIN.items():
            self.form.fill(choosable_fields(model), mapping(rest.pop(key, {})), key)
        if "name" in rest:
            self.form.fill([_NAME], {"name": rest.pop("name")}, "spec")
        if rest:
            raise ValueError(f"the form has no place for {str(min(rest, key=str))!r}")

    def draw(self, known: Known) -> dict[str, Any]:
        """Draw all of it; the spec as it stands."""
        st.subheader("Data", anchor=False)
        data = data_section.draw(self.form, known)
        models = model_section.draw(self.form, known, str(data.get("name", "")), audits=self.audits)
        checks: list[dict[str, Any]] = [{"use": "performance.accuracy"}]
        if self.audits:
            st.subheader("Checks", anchor=False)
            titles = [model_section.title_of(model) for model in models]
            checks = checks_section.draw(self.form, known, titles)
        st.subheader("About this audit" if self.audits else "About this training", anchor=False)
        name = self.form.one(_NAME, "spec", place="", label="Name of the spec")
        context = self._plain("context") if self.audits else {}
        with st.expander("Seed, device and other settings"):
            run, policy = self._plain("run"), self._plain("policy") if self.audits else {}
        subjects = {"models": models} if len(models) > 1 else {"model": models[0]}
        parts = {"name": name, **subjects, "data": data, "context": context, "run": run}
        spec = {"apiVersion": "raiaudit/v1", "kind": "Audit"}
        spec |= {key: value for key, value in parts.items() if value}
        return spec | ({"checks": checks} if checks else {}) | ({"policy": policy} if policy else {})

    def _plain(self, key: str) -> dict[str, Any]:
        found = self.form.draw(choosable_fields(_PLAIN[key]), key)
        self.form.room(key)
        return found
