"""New audit: a form made from the spec's schema, the YAML it makes, and a button that runs it.

The rest of the dashboard reads; why this page may write one spec and start one process, and when it may not, is
told in `raiaudit.dashboard.jobs.starting` and `raiaudit.dashboard.new_audit.local`. `?job=` names a job to
follow, `?for=training` makes it the form of a training. `--unsafe-load` is not to be had here.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import streamlit as st
import yaml

from raiaudit.audit.catalogue import all_checks
from raiaudit.audit.spec import LoadedSpec
from raiaudit.dashboard.jobs.job import list_jobs
from raiaudit.dashboard.jobs.starting import spec_path, start
from raiaudit.dashboard.new_audit.beginnings import DIGITS, EMPTY
from raiaudit.dashboard.new_audit.checking import Problem, check
from raiaudit.dashboard.new_audit.following import recent, show_job
from raiaudit.dashboard.new_audit.form import Known, SpecForm, options_of
from raiaudit.dashboard.new_audit.local import obstacle_here
from raiaudit.dashboard.new_audit.widgets import Form
from raiaudit.dashboard.new_audit.yaml_text import commented
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.wording import plain
from raiaudit.errors import RaiauditError

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.audit.store import Home

__all__ = ["show"]


def show(home: Home, pages: Pages) -> None:
    """Draw the page."""
    obstacle = obstacle_here()
    audits = st.query_params.get("for") != "training"
    st.title("New audit" if audits else "Train a model")
    asked = st.query_params.get("job")
    if asked is not None:
        job = next((job for job in list_jobs(home) if job.id == asked), None)
        if job is not None:
            show_job(home, pages, job, obstacle)
            return
        st.warning(f"There is no job {plain(asked)} here.", icon=":material/warning:")
    for job in list_jobs(home):
        if job.state in ("running", "cancelling"):
            link(pages, "new", f"{plain(job.record.title)} is running: follow it", icon="play_circle", job=job.id)
    _write(home, audits, obstacle)
    recent(home, pages)


def _write(home: Home, audits: bool, obstacle: str | None) -> None:
    what = "audit" if audits else "training"
    form = _form(what)
    _beginnings(what)
    as_yaml = st.segmented_control(
        "Write it as",
        ["Form", "YAML"],
        key=f"new_audit.{what}.mode",
        required=True,
        default="Form",
        persist_state="session",
    )
    if as_yaml == "YAML":
        text = _editor(what)
        name = _name_in(text)
    else:
        spec = SpecForm(form, audits).draw(_known(home, SpecForm(form, audits)))
        text = commented(spec, _questions())
        name = str(spec.get("name") or spec.get("model", {}).get("name") or what)
        st.session_state[f"new_audit.{what}.text"] = text
    path = spec_path(home, name, text)
    found = check(text, path)
    if isinstance(found, Problem):
        told = as_yaml != "YAML" and form.tell(found)
        _problem(found, told)
    else:
        _valid(found)
    if as_yaml != "YAML":
        with st.expander("The spec as YAML", expanded=False):
            st.code(text, language="yaml")
    _actions(home, what, found, text, path, obstacle)


def _form(what: str) -> Form:
    number = st.session_state.setdefault(f"new_audit.{what}.number", 0)
    form = Form(f"{what}{number}")
    if f"new_audit.{what}.begun" not in st.session_state:
        st.session_state[f"new_audit.{what}.begun"] = True
        SpecForm(form, what == "audit").begin(DIGITS if what == "audit" else {k: DIGITS[k] for k in ("data", "model", "run")})
    return form


def _begin_again(what: str, spec: dict[str, Any]) -> None:
    """A new form, with widgets of its own, that shows `spec`; raises `ValueError` if it cannot."""
    number = st.session_state[f"new_audit.{what}.number"] + 1
    SpecForm(Form(f"{what}{number}"), what == "audit").begin(spec)
    st.session_state[f"new_audit.{what}.number"] = number
    st.session_state[f"new_audit.{what}.mode"] = "Form"


def _beginnings(what: str) -> None:
    if what != "audit":
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(":gray[Begin with]")
        st.button("Digits, a minute", on_click=_begin_again, args=(what, DIGITS), icon=":material/bolt:")
        st.button("Nothing", on_click=_begin_again, args=(what, EMPTY), icon=":material/ink_eraser:")


def _editor(what: str) -> str:
    key, kept = f"new_audit.{what}.editor", f"new_audit.{what}.text"
    if key not in st.session_state:
        st.session_state[key] = st.session_state.get(kept, "")
    text = st.text_area("The spec", key=key, height=460, help="Relative paths in it start in the home's folder specs.")
    st.session_state[kept] = text
    st.button("Show it in the form", on_click=_show_in_form, args=(what, key), icon=":material/edit_note:")
    if (problem := st.session_state.pop("new_audit.unfit", None)) is not None:
        st.info(f"It stays YAML: {plain(problem)}.", icon=":material/info:")
    return text


def _show_in_form(what: str, key: str) -> None:
    from pathlib import Path

    from raiaudit.audit.yaml_source import read_yaml

    try:
        _begin_again(what, read_yaml(Path("spec.yaml"), text=st.session_state[key]).data)
    except (ValueError, RaiauditError) as error:
        st.session_state["new_audit.unfit"] = str(error)


def _known(home: Home, form: SpecForm) -> Known:
    return Known()


def _questions() -> dict[str, Any]:
    return {name: (check.question, options_of(check)) for name, check in all_checks().items()}


def _name_in(text: str) -> str:
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return "audit"
    name = data.get("name") if isinstance(data, dict) else None
    return name if isinstance(name, str) else "audit"


def _problem(found: Problem, told: bool) -> None:
    where = f"line {found.line}" if found.line is not None and not told else ""
    key = f"`{found.key.replace('`', '')}`" if found.key else ""
    place = ", ".join(part for part in (key, where) if part)
    remedy = f"  \n→ {plain(found.remedy)}" if found.remedy else ""
    st.error(f"{place + ': ' if place else ''}{plain(found.text)}{remedy}", icon=":material/error:")


def _valid(loaded: LoadedSpec) -> None:
    models = ", ".join(plain(model.title) for model in loaded.spec.subjects)
    gates = sum(len(check.gate) for check in loaded.spec.checks)
    st.success(f"Valid: {models}; {len(loaded.spec.checks)} checks, {gates} gates", icon=":material/check_circle:")
    for model in loaded.spec.subjects:
        if model.endpoint is not None:
            secrets = ", ".join(sorted(set(model.endpoint.headers_env.values())))
            sent = f", and is sent what the environment variables {plain(secrets)} hold" if secrets else ""
            st.warning(
                f"{plain(model.endpoint.url)} is asked about every audited example{sent}.",
                icon=":material/public:",
            )


def _actions(
    home: Home, what: str, found: LoadedSpec | Problem, text: str, path: Path, obstacle: str | None
) -> None:
    valid = isinstance(found, LoadedSpec)
    with st.container(horizontal=True):
        if obstacle is None:
            st.button(
                "Start the audit" if what == "audit" else "Start the training",
                type="primary",
                icon=":material/play_arrow:",
                disabled=not valid,
                on_click=_start,
                args=(home, what, text, path),
            )
        st.download_button(
            "Download the spec", text, file_name=path.name, mime="application/yaml", icon=":material/download:"
        )
    if (problem := st.session_state.pop("new_audit.problem", None)) is not None:
        st.error(plain(problem), icon=":material/error:")
    if obstacle is not None:
        verb = "run" if what == "audit" else "models train"
        st.info(f"{obstacle} Download the spec and run it yourself:", icon=":material/terminal:")
        st.code(f"raiaudit {verb} {shlex.quote(path.name)}", language="bash")


def _start(home: Home, what: str, text: str, path: Path) -> None:
    if obstacle_here() is not None:
        return
    found = check(text, path)
    if isinstance(found, Problem):
        st.session_state["new_audit.problem"] = found.text
        return
    try:
        job = start(home, "audit" if what == "audit" else "training", found, text)
    except RaiauditError as error:
        st.session_state["new_audit.problem"] = str(error)
        return
    st.query_params["job"] = job.id
