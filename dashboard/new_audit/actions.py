"""What the validator says of the whole spec, and what can be done with it: start it, download it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.audit.spec import LoadedSpec
from raiaudit.dashboard.jobs.starting import start
from raiaudit.dashboard.new_audit.checking import Problem, check
from raiaudit.dashboard.new_audit.foretelling import foretold, show_foretold
from raiaudit.dashboard.new_audit.local import obstacle_here
from raiaudit.dashboard.wording import plain
from raiaudit.errors import RaiauditError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from raiaudit.audit.store import Home
    from raiaudit.dashboard.jobs.job import JobKind
    from raiaudit.dashboard.new_audit.state import State

__all__ = ["PROBLEM", "offer"]

_MOST_SAID = 20
PROBLEM = "new_audit.problem"
"""The session's name for what went wrong with the button pressed last."""


def offer(
    home: Home,
    state: State,
    found: LoadedSpec | list[Problem] | None,
    text: str,
    path: Path,
    obstacle: str | None,
) -> None:
    """The verdict of the validator, if it was asked, then the buttons."""
    stops = isinstance(found, list)
    if isinstance(found, list):
        _say_problems(found)
    elif found is not None:
        _say_valid(found, audits=state.audits)
        ahead = foretold(found)
        show_foretold(ahead, audits=state.audits)
        stops = ahead is not None and bool(ahead.problem)
    with st.container(horizontal=True):
        if obstacle is None:
            st.button(
                f"Start the {state.kind}",
                type="primary",
                icon=":material/play_arrow:",
                disabled=stops,
                on_click=_start,
                args=(home, state.kind, text, path),
            )
        st.download_button(
            "Download the spec",
            text,
            file_name=path.name,
            mime="application/yaml",
            icon=":material/download:",
            on_click="ignore",
        )
    if (problem := st.session_state.pop(PROBLEM, None)) is not None:
        st.error(plain(problem), icon=":material/error:")
    if obstacle is not None:
        verb = "run" if state.audits else "models train"
        st.info(f"{obstacle} Download the spec, check it and run it yourself:", icon=":material/terminal:")
        file = shlex.quote(path.name)
        st.code(f"raiaudit validate {file}\nraiaudit {verb} {file}", language="bash")


def _say_problems(found: Sequence[Problem]) -> None:
    """Each with its place, though it stands beside its field as well: the field's part may be closed."""
    lines = [_said(problem) for problem in found[:_MOST_SAID]]
    if len(found) == 1:
        st.error(f"Not valid yet. {lines[0]}", icon=":material/error:")
        return
    if len(found) > _MOST_SAID:
        lines.append(f"… and {len(found) - _MOST_SAID} more")
    listed = "\n".join(f"- {line}" for line in lines)
    st.error(f"Not valid yet, for {len(found)} reasons:\n\n{listed}", icon=":material/error:")


def _said(problem: Problem) -> str:
    line = f"Line {problem.line}: " if problem.line is not None else ""
    key = f"{plain(problem.key)}: " if problem.key else ""
    remedy = f"  \n→ {plain(problem.remedy)}" if problem.remedy else ""
    return f"{line}{key}{plain(problem.text)}{remedy}"


def _say_valid(loaded: LoadedSpec, *, audits: bool) -> None:
    models = ", ".join(plain(model.title) for model in loaded.spec.subjects)
    checks, gates = len(loaded.spec.checks), sum(len(check.gate) for check in loaded.spec.checks)
    counts = f"; {checks} check{'s' * (checks != 1)}, {gates} gate{'s' * (gates != 1)}" if audits else ""
    st.success(f"Valid: {models}{counts}", icon=":material/check_circle:")
    if audits and not gates:
        st.caption("Without a gate nothing is decided: the verdict will be inconclusive.")
    for model in loaded.spec.subjects:
        if model.endpoint is not None:
            variables = ", ".join(sorted(set(model.endpoint.headers_env.values())))
            sent = f", and is sent what is in the environment variables {variables}" if variables else ""
            st.warning(
                plain(f"{model.endpoint.url} is asked about every audited example{sent}."),
                icon=":material/public:",
            )


def _start(home: Home, kind: JobKind, text: str, path: Path) -> None:
    """The button was pressed. Asks again what its being there had answered: a session may be old."""
    if (obstacle := obstacle_here()) is not None:
        st.session_state[PROBLEM] = obstacle
        return
    found = check(text, path)
    if isinstance(found, list):
        st.session_state[PROBLEM] = "; ".join(problem.text for problem in found[:_MOST_SAID])
        return
    try:
        told = foretold(found) if kind == "audit" else None
        expected = told.seconds if told is not None else None
        st.query_params["job"] = start(home, kind, found, text, expected=expected).id
    except RaiauditError as error:
        st.session_state[PROBLEM] = str(error)
