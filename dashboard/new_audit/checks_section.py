"""The form's checks, by pillar: which, how often, with which options, and what their metrics must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.audit.catalogue import all_checks
from raiaudit.audit.gates import Gate
from raiaudit.audit.spec import CheckSpec
from raiaudit.dashboard.new_audit import repeated
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
    if strange := sorted(set(names) - all_checks().keys()):
        raise ValueError(f"the form is for known checks, and {strange[0][:60]!r} is none")
    for name in dict.fromkeys(names):
        repeated.begin(form, name, names.count(name))
        st.session_state.setdefault(form.key("checks", _pillar(name)), []).append(name)
    for i, (name, check) in enumerate(zip(names, checks, strict=True)):
        _begin_one(form, name, check, repeated.numbered(name, names[:i].count(name)))


def _begin_one(form: Form, name: str, check: Mapping[str, Any], at: str) -> None:
    if strange := sorted(map(str, check.keys() - {"use", "with", "gate", "only"})):
        raise ValueError(f"the form has no field {strange[0][:60]!r} for a check")
    st.session_state[form.key(at, "begun")] = True
    form.fill(options_of(all_checks()[name]), mapping(check.get("with", {})), at)
    if "only" in check:
        form.fill([_only(())], {"only": check["only"]}, at)
    gates = check.get("gate", [])
    gates = [gates] if isinstance(gates, dict) else gates
    if not isinstance(gates, list):
        raise ValueError("the gates are no list")
    repeated.begin(form, f"{at}.gate", len(gates))
    for number, gate in enumerate(gates):
        form.fill(choosable_fields(Gate), mapping(gate), f"{at}.gate.{number}")


def draw(form: Form, known: Known, models: Sequence[str]) -> list[dict[str, Any]]:
    """The section; what it says. `models`: their names; where there are several, a check may be for some."""
    fitting = {
        name: check
        for name, check in all_checks().items()
        if known.modality is None or known.modality in check.modalities
    }
    chosen = _chosen(form, fitting)
    if left_out := len(all_checks()) - len(fitting):
        st.caption(f"{left_out} more are not defined for {known.modality} data.")
    form.room("checks")
    found: list[dict[str, Any]] = []
    for name in (name for name in fitting if name in chosen):
        uses = repeated.numbers(form, name, first=1)
        for number in uses:
            use = _Use(form, fitting[name], number, uses, f"checks.{len(found)}")
            found.append(_check(use, known, models))
    return found


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


@dataclass(frozen=True, slots=True)
class _Use:
    """One use of a check, the one of `uses` that has this `number`; `place`: its key in the spec."""

    form: Form
    check: Check
    number: int
    uses: Sequence[int]
    place: str

    @property
    def at(self) -> str:
        """Where its widgets' values are."""
        return repeated.numbered(self.check.id, self.number)

    def key(self, button: str) -> str:
        """The session's name for a button."""
        return self.form.key(self.at, f"{repeated.BUTTON} {button}")

    @property
    def title(self) -> str:
        """The check's, told apart from its other uses."""
        title = plain(check_title(self.check.id))
        return title if len(self.uses) == 1 else f"{title} ({self.uses.index(self.number) + 1})"


def _check(use: _Use, known: Known, models: Sequence[str]) -> dict[str, Any]:
    form, at, place = use.form, use.at, use.place
    gates = repeated.numbers(form, f"{at}.gate", first=0)
    _typical_options(use, known)
    count = f" :gray[· {len(gates)} gate{'s' * (len(gates) > 1)}]" if gates else ""
    form.room(place)
    with st.expander(f"**{use.title}**{count}", key=form.key(at, "open")):
        st.markdown(f"{plain(use.check.question)} :gray[{plain(use.check.id)}]")
        options = form.draw(options_of(use.check), at, place=f"{place}.with")
        form.room(f"{place}.with")
        only = form.one(_only(models), at, place=place, label="Only for") if len(models) > 1 else None
        written = [_gate(use, number, gates, known) for number in gates]
        form.room(f"{place}.gate")
        _buttons(use)
    found = {"use": use.check.id, "with": options, "gate": [gate for gate in written if gate], "only": only}
    return {key: value for key, value in found.items() if value}


def _only(models: Sequence[str]) -> Field:
    """Of which models a check is, if not of all."""
    (field,) = ordered(choosable_fields(CheckSpec), ("only",))
    return replace(field, choices=tuple(dict.fromkeys(models)), default="all models")


def _buttons(use: _Use) -> None:
    form = use.form
    with st.container(horizontal=True):
        st.button("Add a gate", icon=":material/add:", key=use.key("gate"), on_click=_add_gate, args=(use,))
        st.button(
            "Use this check once more",
            icon=":material/content_copy:",
            key=use.key("copy"),
            on_click=repeated.repeat,
            args=(form, use.check.id, use.number),
            help="The other begins with the same options: change the attack, say, or its size.",
        )
        if len(use.uses) > 1:
            st.button(
                "Remove this use",
                icon=":material/delete:",
                key=use.key("remove"),
                on_click=repeated.remove,
                args=(form, use.check.id, use.number),
                type="tertiary",
            )


def _typical_options(use: _Use, known: Known) -> None:
    """What a check must be told and has no default for, once, when it is first chosen."""
    key = use.form.key(use.at, "begun")
    if key not in st.session_state and known.modality is not None:
        st.session_state[key] = True
        typical = TYPICAL_OPTIONS.get(use.check.id, {}).get(known.modality, {})
        use.form.fill(options_of(use.check), typical, use.at)


def _gate(use: _Use, number: int, numbers: Sequence[int], known: Known) -> dict[str, Any]:
    form, check = use.form, use.check.id
    typical = [str(TYPICAL_GATES[check]["metric"])] if check in TYPICAL_GATES else []
    metrics = tuple(dict.fromkeys([*typical, *known.metrics.get(check, ())]))
    fields = [replace(f, choices=metrics) if f.key == "metric" else f for f in choosable_fields(Gate)]
    at, there = f"{use.at}.gate.{number}", f"{use.place}.gate.{numbers.index(number)}"
    with st.container(border=True):
        st.markdown(":gray[A gate: what a metric must be for the audit to pass]")
        found = form.draw(ordered(fields, ("metric", "where", "min", "max")), at, place=there)
        found |= form.draw(ordered(fields, ("confidence", "vs_baseline")), at, place=there)
        form.room(there)
        st.button(
            "Remove this gate",
            icon=":material/delete:",
            key=form.key(at, f"{repeated.BUTTON} remove"),
            on_click=repeated.remove,
            args=(form, f"{use.at}.gate", number),
            type="tertiary",
        )
    return found


def _add_gate(use: _Use) -> None:
    at = f"{use.at}.gate"
    first = not repeated.numbers(use.form, at, first=0)
    number = repeated.add(use.form, at)
    if first:
        use.form.fill(choosable_fields(Gate), TYPICAL_GATES.get(use.check.id, {}), f"{at}.{number}")


def _pillar(check: str) -> str:
    return check.partition(".")[0]
