"""The form of a spec: data, model, checks by pillar with options and gates, context. Made from the schema.

What the form adds to the schema is which keys stand first, and names to choose from (data sets, architectures,
columns of the file, models and metrics that earlier runs have seen).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.audit.catalogue import all_checks
from raiaudit.audit.model_spec import ModelSpec, as_name
from raiaudit.audit.spec import Context, NamedData, Policy, RunOptions
from raiaudit.dashboard.new_audit.beginnings import TYPICAL_GATES, TYPICAL_OPTIONS, architectures
from raiaudit.dashboard.new_audit.fields import Field, fields_of
from raiaudit.dashboard.wording import plain
from raiaudit.models.data import DATASETS, UserData
from raiaudit.reports.wording import check_title

if TYPE_CHECKING:
    from raiaudit.audit.check import Check
    from raiaudit.dashboard.new_audit.widgets import Form

__all__ = ["Known", "SpecForm", "options_of"]

_SOURCES = {
    "recipe": "Trained here",
    "ref": "Registered",
    "path": "A file or folder",
    "endpoint": "Behind an address",
}
_FIRST = {
    "data": ("path", "label", "id", "groups"),
    "recipe": ("architecture", "kind", "epochs", "batch_size"),
}
_COLUMNS = frozenset({"id", "label", "split", "groups", "links", "text", "drop", "categorical", "immutable"})
_FILES = frozenset({"path", "train", "validation", "test"})
_PARTS = {"adversarial": "adversary", "private": "privacy", "fair": "fairness"}


@dataclass(frozen=True, slots=True)
class Known:
    """Names that a form can offer: registered models, metrics by check; columns of a file, if it may be read."""

    models: Sequence[str] = ()
    metrics: Mapping[str, Sequence[str]] | None = None
    modality: str | None = None
    columns: Sequence[str] = ()


def options_of(check: Check) -> tuple[Field, ...]:
    """The options of a check as fields."""
    return fields_of(check.Config.model_json_schema())


@dataclass
class SpecForm:
    """Draws into `form`. Without `audits`, the form of a training: no checks, no gates."""

    form: Form
    audits: bool = True

    def begin(self, spec: Mapping[str, Any]) -> None:
        """Show this spec. Raises `ValueError` if there is something in it that the form cannot show."""
        rest = dict(spec)
        rest.pop("apiVersion", None), rest.pop("kind", None)
        models = rest.pop("models", None)
        if models is not None:
            if not isinstance(models, list) or len(models) != 1 or "model" in rest:
                raise ValueError("the form is for one model")
            rest["model"] = models[0]
        self._begin_data(rest.pop("data", {}))
        self._begin_model(rest.pop("model", {}))
        self._begin_checks(rest.pop("checks", []))
        for key, model in (("context", Context), ("run", RunOptions), ("policy", Policy)):
            self.form.fill(_fields(model), _mapping(rest.pop(key, {})), key)
        if "name" in rest:
            self.form.fill([_NAME], {"name": rest.pop("name")}, "spec")
        if rest:
            raise ValueError(f"the form has no place for {min(rest)!r}")

    def draw(self, known: Known) -> dict[str, Any]:
        """Draw all of it; the spec as it stands."""
        spec: dict[str, Any] = {"apiVersion": "raiaudit/v1", "kind": "Audit"}
        st.subheader("Data", anchor=False)
        data = self._data(known)
        st.subheader("Model", anchor=False)
        model = self._model(known, str(data.get("name", "")))
        checks: list[dict[str, Any]] = [{"use": "performance.accuracy"}]
        if self.audits:
            st.subheader("Checks", anchor=False)
            checks = self._checks(known)
        st.subheader("About this audit" if self.audits else "About this training", anchor=False)
        name = self.form.one(_NAME, "spec", place="", label="Name of the spec")
        context = self.form.draw(_fields(Context), "context") if self.audits else {}
        with st.expander("Seed, device and other settings"):
            run = self.form.draw(_fields(RunOptions), "run")
            policy = self.form.draw(_fields(Policy), "policy") if self.audits else {}
        parts = {"name": name, "data": data, "model": model, "context": context, "run": run}
        spec |= {key: value for key, value in parts.items() if value}
        spec["checks"] = checks
        return spec | ({"policy": policy} if policy else {})

    def data_now(self) -> dict[str, Any]:
        """What names the data, before the form is drawn: `name`, or `path`."""
        kind = st.session_state.get(self.form.key("data", "source"), "named")
        at = self.form.key("named.name" if kind == "named" else "data.path")
        return {"name" if kind == "named" else "path": st.session_state.get(at)}

    def _data(self, known: Known) -> dict[str, Any]:
        source = self._source("data", {"named": "A known data set", "files": "Your own files"}, "named")
        if source == "named":
            (name,) = _fields(NamedData)
            chosen = self.form.one(replace(name, choices=tuple(DATASETS)), "named", place="data", label="Data set")
            self.form.room("data")
            return {"name": chosen} if chosen else {}
        fields = [self._with_columns(each, known.columns) for each in _fields(UserData)]
        st.caption(
            "One table (CSV, TSV, Parquet), a folder of images with metadata.csv, or arrays (npz)."
            + (f" Columns found: {plain(', '.join(known.columns[:12]))}" if known.columns else "")
            + (" …" if len(known.columns) > 12 else "")
        )
        found = self._first_then_rest(fields, "data", _FIRST["data"])
        self.form.room("data")
        found = {key: _absolute(value) if key in _FILES else value for key, value in found.items()}
        if found.get("path") and not found.get("name"):
            found = {"name": as_name(Path(found["path"]).stem), **found}
        return found

    @staticmethod
    def _with_columns(each: Field, columns: Sequence[str]) -> Field:
        return replace(each, choices=tuple(columns)) if each.key in _COLUMNS and columns else each

    def _model(self, known: Known, data: str) -> dict[str, Any]:
        fields = {each.key: each for each in _fields(ModelSpec)}
        source = self._source("model", _SOURCES if self.audits else {"recipe": _SOURCES["recipe"]}, "recipe")
        found: dict[str, Any] = {}
        if source == "recipe":
            found["recipe"] = self._recipe(fields["recipe"], known)
            title = f"{data or 'my'}-{found['recipe'].get('architecture', 'model')}"
        elif source == "endpoint":
            found["endpoint"] = self.form.draw(fields["endpoint"].inner, "model.endpoint")
            title = "behind-the-address"
        elif source == "ref":
            ref = replace(fields["ref"], choices=tuple(known.models))
            found |= {"ref": self.form.one(ref, "model")}
            title = ""
        else:
            keys = ("path", "arch", "layout", "options")
            found |= self.form.draw([self._offering(fields[key], known) for key in keys], "model")
            found |= {"path": _absolute(found["path"])} if "path" in found else {}
            title = ""
        name = self.form.one(replace(fields["name"], default=as_name(title) if title else None), "model")
        self.form.room("model")
        given = name or (as_name(title) if title else None)
        found = {key: value for key, value in found.items() if value not in (None, {})}
        return {"name": given, **found} if given and found else found

    def _recipe(self, recipe: Field, known: Known) -> dict[str, Any]:
        at = "model.recipe"
        parts = {each.key: each for each in recipe.inner if each.key in _PARTS.values()}
        plain_fields = [self._offering(each, known) for each in recipe.inner if each.key not in parts]
        first = [each for each in plain_fields if each.key in _FIRST["recipe"]]
        found = self.form.draw(_ordered(first, _FIRST["recipe"]), at)
        wanted = _PARTS.get(found.get("kind", ""))
        if wanted is not None:
            st.caption(f"kind: {found['kind']} needs")
            part = replace(parts[wanted], optional=False, required=True)
            value = self.form.one(part, at)
            found |= {wanted: value} if value else {}
        with st.expander("More about the training"):
            found |= self.form.draw([each for each in plain_fields if each not in first], at)
        self.form.room(at)
        order = [each.key for each in recipe.inner]
        return dict(sorted(found.items(), key=lambda item: order.index(item[0])))

    @staticmethod
    def _offering(each: Field, known: Known) -> Field:
        if each.key in ("architecture", "arch"):
            return replace(each, choices=tuple(architectures(known.modality)))
        return each

    def _checks(self, known: Known) -> list[dict[str, Any]]:
        fitting = {
            name: check
            for name, check in all_checks().items()
            if known.modality is None or known.modality in check.modalities
        }
        chosen = self._chosen_checks(fitting)
        if left_out := len(all_checks()) - len(fitting):
            st.caption(f"{left_out} checks are not offered: they are not defined for {known.modality} data.")
        self.form.room("checks")
        return [
            self._check(fitting[name], f"checks.{i}", known)
            for i, name in enumerate(name for name in fitting if name in chosen)
        ]

    def _chosen_checks(self, fitting: Mapping[str, Check]) -> set[str]:
        pillars: dict[str, list[str]] = {}
        for name in fitting:
            pillars.setdefault(name.partition(".")[0], []).append(name)
        chosen: set[str] = set()
        for pillar, names in pillars.items():
            key = self.form.key("checks", pillar)
            if key not in st.session_state:
                st.session_state[key] = []
            st.session_state[key] = [name for name in st.session_state[key] if name in names]
            picked = st.pills(
                pillar.capitalize(),
                names,
                selection_mode="multi",
                format_func=lambda name: plain(check_title(name)),
                key=key,
                persist_state="session",
            )
            chosen |= set(picked)
        return chosen

    def _check(self, check: Check, place: str, known: Known) -> dict[str, Any]:
        at = check.id
        gates = st.session_state.setdefault(self.form.key(at, "gates"), [])
        self._typical_options(check, known)
        title = plain(check_title(check.id))
        with st.expander(f"**{title}**" + (f" :gray[· {len(gates)} gate{'s' * (len(gates) > 1)}]" if gates else "")):
            st.markdown(f"{plain(check.question)} :gray[{plain(check.id)}]")
            self.form.room(place)
            options = self.form.draw(options_of(check), at, place=f"{place}.with")
            self.form.room(f"{place}.with")
            written = [self._gate(check, number, gates, f"{place}.gate", known) for number in list(gates)]
            st.button(
                "Add a gate",
                icon=":material/add:",
                key=self.form.key(at, "add"),
                on_click=self._add_gate,
                args=(check.id,),
            )
        found = {"use": check.id, "with": options, "gate": [gate for gate in written if gate]}
        return {key: value for key, value in found.items() if value}

    def _typical_options(self, check: Check, known: Known) -> None:
        """What a check must be told and has no default for, once, when it is first chosen."""
        key = self.form.key(check.id, "begun")
        if key not in st.session_state and known.modality is not None:
            st.session_state[key] = True
            self.form.fill(options_of(check), TYPICAL_OPTIONS.get(check.id, {}).get(known.modality, {}), check.id)

    def _gate(
        self, check: Check, number: int, numbers: list[int], place: str, known: Known
    ) -> dict[str, Any]:
        from raiaudit.audit.gates import Gate

        fields = {each.key: each for each in _fields(Gate)}
        metrics = [*(known.metrics or {}).get(check.id, ()), *_typical_metric(check.id)]
        fields["metric"] = replace(fields["metric"], choices=tuple(dict.fromkeys(metrics)))
        at, there = f"{check.id}.gate.{number}", f"{place}.{numbers.index(number)}"
        with st.container(border=True):
            st.markdown(":gray[Gate: what the metric must be for the audit to pass]")
            found = self.form.draw([fields[key] for key in ("metric", "where", "min", "max")], at, place=there)
            with st.expander("Confidence and baseline"):
                found |= self.form.draw([fields[key] for key in ("confidence", "vs_baseline")], at, place=there)
            self.form.room(there)
            st.button(
                "Remove this gate",
                icon=":material/delete:",
                key=self.form.key(at, "remove"),
                on_click=numbers.remove,
                args=(number,),
                type="tertiary",
            )
        return found

    def _add_gate(self, check: str) -> None:
        from raiaudit.audit.gates import Gate

        numbers = st.session_state[self.form.key(check, "gates")]
        number = max(numbers, default=-1) + 1
        numbers.append(number)
        if number == 0:
            self.form.fill(_fields(Gate), TYPICAL_GATES.get(check, {}), f"{check}.gate.0")

    def _source(self, what: str, choices: Mapping[str, str], first: str) -> str:
        key = self.form.key(what, "source")
        if st.session_state.get(key) not in choices:
            st.session_state[key] = first
        if len(choices) == 1:
            return first
        chosen: str = st.segmented_control(
            what.capitalize(),
            list(choices),
            format_func=choices.__getitem__,
            key=key,
            label_visibility="collapsed",
            required=True,
            persist_state="session",
        )
        return chosen

    def _first_then_rest(self, fields: Sequence[Field], at: str, first: Sequence[str]) -> dict[str, Any]:
        found = self.form.draw(_ordered([each for each in fields if each.key in first], first), at)
        with st.expander("More about the data"):
            found |= self.form.draw([each for each in fields if each.key not in first], at)
        return found

    def _begin_data(self, data: Any) -> None:
        data = _mapping(data)
        named = data.keys() <= {"name"}
        st.session_state[self.form.key("data", "source")] = "named" if named else "files"
        if not named:
            self.form.fill(_fields(UserData), data, "data")
        elif data:
            (name,) = _fields(NamedData)
            self.form.fill([name], data, "named")

    def _begin_model(self, model: Any) -> None:
        model = _mapping(model)
        sources = [key for key in (*_SOURCES, "factory") if key in model]
        if len(sources) > 1 or "factory" in sources:
            raise ValueError("the form has no widget for this model")
        st.session_state[self.form.key("model", "source")] = sources[0] if sources else "recipe"
        fields = {each.key: each for each in _fields(ModelSpec)}
        for key, inner in (("recipe", "model.recipe"), ("endpoint", "model.endpoint")):
            if key in model:
                model = dict(model)
                self.form.fill(fields[key].inner, _mapping(model.pop(key)), inner)
        self.form.fill(list(fields.values()), model, "model")

    def _begin_checks(self, checks: Any) -> None:
        from raiaudit.audit.gates import Gate

        if not isinstance(checks, list) or not all(isinstance(check, dict) for check in checks):
            raise ValueError("the checks are no list")
        names = [check.get("use") for check in checks]
        if len(set(names)) < len(names) or not set(names) <= all_checks().keys():
            raise ValueError("the form is for known checks, each of them once")
        for check in checks:
            if not check.keys() <= {"use", "with", "gate"}:
                raise ValueError("the form is for checks of all models")
            name = check["use"]
            st.session_state.setdefault(self.form.key("checks", name.partition(".")[0]), []).append(name)
            st.session_state[self.form.key(name, "begun")] = True
            self.form.fill(options_of(all_checks()[name]), _mapping(check.get("with", {})), name)
            gates = check.get("gate", [])
            gates = [gates] if isinstance(gates, dict) else gates
            st.session_state[self.form.key(name, "gates")] = list(range(len(gates)))
            for number, gate in enumerate(gates):
                self.form.fill(_fields(Gate), _mapping(gate), f"{name}.gate.{number}")


def _fields(model: Any) -> list[Field]:
    """Those with a choice: a key that admits one value needs no widget."""
    return [each for each in fields_of(model.model_json_schema(by_alias=True)) if len(each.choices) != 1]


_NAME = Field("name", "text", description="of the file and of its runs; letters, digits, dots and dashes")


def _ordered(fields: Sequence[Field], order: Sequence[str]) -> list[Field]:
    return sorted(fields, key=lambda each: order.index(each.key))


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("the form has no widget for this value")
    return value


def _typical_metric(check: str) -> list[str]:
    return [str(TYPICAL_GATES[check]["metric"])] if check in TYPICAL_GATES else []


def _absolute(path: str) -> str:
    """As seen from where the dashboard was started: the spec lies elsewhere."""
    try:
        return str(Path(path).expanduser().absolute())
    except (RuntimeError, OSError):
        return path
