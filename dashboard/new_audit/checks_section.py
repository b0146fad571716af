"""The form's checks, by pillar: which, with which options, and what their metrics must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.audit.catalogue import all_checks
from raiaudit.audit.gates import Gate
from raiaudit.dashboard.new_audit.beginnings import TYPICAL_GATES, TYPICAL_OPTIONS
from raiaudit.dashboard.new_audit.fields import Field, fields_of
from raiaudit.dashboard.new_audit.section import Known, choosable_fields, mapping, ordered
from raiaudit.dashboard.wording import plain
from raiaudit.reports.words.wording import check_title

if TYPE_CHECKING:
    from raiaudit.audit.check import Check, CheckConfig
    from raiaudit.dashboard.new_audit.widgets import Form

__all__ = ["begin", "draw", "options_of"]


def options_of(check: Check) -> tuple[Field, ...]:
    """The options of a check as fields."""
    return _fields_of_config(check.Config)


@cache
def _fields_of_config(config: type[CheckConfig]) -> tuple[Field, ...]:
    return fields_of(config.model_json_schema())


def begin(form: Form, checks: Any) -> None:
    """Show this part of a spec. Raises `ValueError` if the form cannot."""
    if not isinstance(checks, list) or not all(isinstance(check, dict) for check in checks):
        raise ValueError("the checks are no list")
    names = [str(check.get("use")) for check in checks]
    if len(set(names)) < len(names) or not set(names) <= all_checks().keys():
        raise ValueError("the form is for known checks, each of them once")
    for name, check in zip(names, checks, strict=True):
        if not check.keys() <= {"use", "with", "gate"}:
            raise ValueError("the form is for checks of all models")
        st.session_state.setdefault(form.key("checks", _pillar(name)), []).append(name)
        st.session_state[form.key(name, "begun")] = True
        form.fill(options_of(all_checks()[name]), mapping(check.get("with", {})), name)
        gates = check.get("gate", [])
        gates = [gates] if isinstance(gates, dict) else gates
        if not isinstance(gates, list):
            raise ValueError("the gates are no list")
        st.session_state[form.key(name, "gates")] = list(range(len(gates)))
        for number, gate in enumerate(gates):
            form.fill(choosable_fields(Gate), mapping(gate), f"{name}.gate.{number}")


def draw(form: Form, known: Known) -> list[dict[str, Any]]:
    """The section; what it says."""
    fitting = {
        name: check
        for name, check in all_checks().items()
        if known.modality is None or known.modality in check.modalities
    }
    chosen = _chosen(form, fitting)
    if left_out := len(all_checks()) - len(fitting):
        st.caption(f"{left_out} more are not defined for {known.modality} data.")
    form.room("checks")
    return [
        _check(form, fitting[name], f"checks.{i}", known)
        for i, name in enumerate(name for name in fitting if name in chosen)
    ]


def _chosen(form: Form, fitting: Mapping[str, Check]) -> set[str]:
    chosen: set[str] = set()
    for pillar in dict.fromkeys(map(_pillar, fitting)):
        names = [name for name in fitting if _pillar(name) == pillar]
        key = form.key("checks", pillar)
        st.session_state[key] = [name for name in st.session_state.get(key, []) if name in names]
        chosen |= set(
            st.pills(
                pillar.capitalize(),
                names,
                selection_mode="multi",
                format_func=lambda name: plain(check_title(name)),
                key=key,
                wrap=True,
                persist_state="session",
            )
        )
    return chosen


def _check(form: Form, check: Check, place: str, known: Known) -> dict[str, Any]:
    at = check.id
    gates: list[int] = st.session_state.setdefault(form.key(at, "gates"), [])
    _typical_options(form, check, known)
    count = f" :gray[· {len(gates)} gate{'s' * (len(gates) > 1)}]" if gates else ""
    form.room(place)
    with st.expander(f"**{plain(check_title(at))}**{count}"):
        st.markdown(f"{plain(check.question)} :gray[{plain(at)}]")
        options = form.draw(options_of(check), at, place=f"{place}.with")
        form.room(f"{place}.with")
        written = [_gate(form, at, number, gates, f"{place}.gate", known) for number in list(gates)]
        form.room(f"{place}.gate")
        st.button(
            "Add a gate",
            icon=":material/add:",
            key=form.key(at, "add"),
            on_click=_add_gate,
            args=(form, at),
        )
    found = {"use": at, "with": options, "gate": [gate for gate in written if gate]}
    return {key: value for key, value in found.items() if value}


def _typical_options(form: Form, check: Check, known: Known) -> None:
    """What a check must be told and has no default for, once, when it is first chosen."""
    key = form.key(check.id, "begun")
    if key not in st.session_state and known.modality is not None:
        st.session_state[key] = True
        form.fill(options_of(check), TYPICAL_OPTIONS.get(check.id, {}).get(known.modality, {}), check.id)


def _gate(
    form: Form, check: str, number: int, numbers: list[int], place: str, known: Known
) -> dict[str, Any]:
    typical = [str(TYPICAL_GATES[check]["metric"])] if check in TYPICAL_GATES else []
    metrics = tuple(dict.fromkeys([*typical, *known.metrics.get(check, ())]))
    fields = [replace(f, choices=metrics) if f.key == "metric" else f for f in choosable_fields(Gate)]
    at, there = f"{check}.gate.{number}", f"{place}.{numbers.index(number)}"
    with st.container(border=True):
        st.markdown(":gray[A gate: what a metric must be for the audit to pass]")
        found = form.draw(ordered(fields, ("metric", "where", "min", "max")), at, place=there)
        found |= form.draw(ordered(fields, ("confidence", "vs_baseline")), at, place=there)
        form.room(there)
        st.button(
            "Remove this gate",
            icon=":material/delete:",
            key=form.key(at, "remove"),
            on_click=numbers.remove,
            args=(number,),
            type="tertiary",
        )
    return found


def _add_gate(form: Form, check: str) -> None:
    numbers = st.session_state[form.key(check, "gates")]
    number = max(numbers, default=-1) + 1
    numbers.append(number)
    if number == 0:
        form.fill(choosable_fields(Gate), TYPICAL_GATES.get(check, {}), f"{check}.gate.0")


def _pillar(check: str) -> str:
    return check.partition(".")[0]
