"""A job on screen: its progress while it runs, its end, and what can be done next. Any session can show it."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.audit.spec import load_spec
from raiaudit.audit.store import Run
from raiaudit.dashboard.jobs.job import Job, list_jobs
from raiaudit.dashboard.jobs.progress import Progress, progress_of, sentence
from raiaudit.dashboard.jobs.starting import cancel, command_of, resume
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.wording import chip, duration, instant, plain
from raiaudit.errors import RaiauditError, StorageError

if TYPE_CHECKING:
    from raiaudit.audit.store import Home

__all__ = ["recent", "show_job", "state_chip"]

_ENDED = ("cancelled", "failed", "finished", "orphaned")
_LOOKS = {
    "running": ":blue-badge[▶ Running]",
    "cancelling": ":gray-badge[‖ Stopping]",
    "cancelled": ":gray-badge[‖ Cancelled]",
    "failed": ":violet-badge[▲ Failed]",
    "finished": ":green-badge[✓ Finished]",
    "orphaned": ":violet-badge[▲ Ended without a word]",
}
_LOG_LINES = 12
_SLOW_STOP = 15.0


def show_job(home: Home, pages: Pages, job: Job, obstacle: str | None) -> None:
    """Draw one job. `obstacle`: why this session may not stop or resume it."""
    what = "audit" if job.record.kind == "audit" else "training"
    st.markdown(f"### {plain(job.record.title)} :gray[{what}, started {instant(job.record.created)}]")
    if job.state in _ENDED:
        _ended(home, pages, job, obstacle)
    else:
        _running(job, obstacle)


def recent(home: Home, pages: Pages, shown: int = 5) -> None:
    """The newest jobs, one a line."""
    jobs = list_jobs(home)
    if not jobs:
        return
    st.subheader("Started from here", anchor=False)
    for job in jobs[:shown]:
        state, started, title = st.columns([1.4, 1.6, 3], vertical_alignment="center")
        state.markdown(state_chip(job))
        started.markdown(f":gray[{instant(job.record.created)}]")
        with title:
            link(pages, "new", plain(job.record.title), job=job.id)


def state_chip(job: Job) -> str:
    """Its state as a badge; of a finished audit the verdict."""
    last = job.conclusion
    if job.state == "finished" and last is not None and "verdict" in last:
        return chip(str(last["verdict"]))
    return _LOOKS[job.state]


@st.fragment(run_every=1)
def _running(job: Job, obstacle: str | None) -> None:
    state = job.state
    if state in _ENDED:
        st.rerun()
    progress = progress_of(job.events)
    st.markdown(f"{_LOOKS[state]} {_doing(job, progress)}")
    st.progress(progress.share, text=_counts(progress))
    elapsed = datetime.now(UTC).timestamp() - _since(job.record.created)
    left = f" · about {duration(progress.left)} left in this phase" if progress.left is not None else ""
    st.caption(f"{duration(elapsed)} so far{left}. It goes on if you close this page or stop the dashboard.")
    if obstacle is None:
        with st.container(horizontal=True):
            if st.button("Cancel", icon=":material/stop_circle:", disabled=state == "cancelling"):
                cancel(job)
                st.rerun(scope="fragment")
            if state == "cancelling" and _asked_long_ago(job):
                if st.button("End it at once", icon=":material/dangerous:"):
                    cancel(job, at_once=True)
                    st.rerun(scope="fragment")
    _lines(job)


def _ended(home: Home, pages: Pages, job: Job, obstacle: str | None) -> None:
    state = job.state
    last = job.conclusion or {}
    if state == "finished":
        _finished(home, pages, job)
    elif state == "failed":
        st.error(_failure(job), icon=":material/error:")
    elif state == "cancelled":
        st.warning("Cancelled. What was finished is kept; resuming does only the rest.", icon=":material/pause_circle:")
    else:
        st.error(_silence(job), icon=":material/error:")
    for run in last.get("runs") or progress_of(job.events).runs if state != "finished" else ():
        link(pages, "run", plain(run), run=str(run))
    with st.container(horizontal=True):
        if state != "finished" and obstacle is None:
            st.button(
                "Resume" if state in ("cancelled", "orphaned") else "Try again",
                type="primary",
                icon=":material/play_arrow:",
                on_click=_resume,
                args=(home, job),
            )
        link(pages, "new", "New audit", icon="add")
    if (problem := st.session_state.pop("new_audit.problem", None)) is not None:
        st.error(plain(problem), icon=":material/error:")
    if state != "finished":
        st.caption("The same by hand:")
        st.code(shlex.join(["raiaudit", *job.record.command[4:]]), language="bash", wrap_lines=True)
    _lines(job)


def _resume(home: Home, job: Job) -> None:
    try:
        again = resume(home, job, load_spec(Path(job.record.spec)))
    except RaiauditError as error:
        st.session_state["new_audit.problem"] = str(error)
        return
    st.query_params["job"] = again.id


def _finished(home: Home, pages: Pages, job: Job) -> None:
    last = job.conclusion or {}
    if job.record.kind == "training":
        st.success("Trained and registered.", icon=":material/check_circle:")
        for model in last.get("models", []):
            accuracy = model.get("metrics", {}).get("validation_accuracy")
            said = f", validation accuracy {100 * accuracy:.1f} %" if isinstance(accuracy, float) else ""
            st.markdown(f"**{plain(model.get('name'))}** version {plain(model.get('version'))}{said}")
        return
    st.markdown(f"#### {chip(str(last.get('verdict', 'inconclusive')))}")
    for run_id in last.get("runs", []):
        run = Run(home.runs_folder / Path(str(run_id)).name)
        try:
            header = run.header
        except StorageError as error:
            st.warning(plain(error), icon=":material/warning:")
            continue
        verdict, opening = st.columns([1, 4], vertical_alignment="center")
        verdict.markdown(chip(header.verdict or header.status))
        with opening:
            link(pages, "run", f"Open the run of {plain(header.model)}", run=run.id)


def _failure(job: Job) -> str:
    last = job.conclusion
    text = str(last["error"]) if last is not None and "error" in last else job.log(_LOG_LINES)
    problem, _, remedy = text.partition("\n→ ")
    code = f"exit code {last['exit_code']}" if last is not None and "exit_code" in last else f"exit code {job.exit_code}"
    return f"**{plain(problem) or 'It failed'}** :gray[({code})]" + (f"  \n→ {plain(remedy)}" if remedy else "")


def _silence(job: Job) -> str:
    code = job.exit_code
    how = f"signal {-code} ended it" if code is not None and code < 0 else "its process is gone"
    return (
        f"It ended without a word: {how}. Perhaps it was killed, or the machine ran out of memory or was switched "
        "off. What was finished is kept; resuming does only the rest."
    )


def _doing(job: Job, progress: Progress) -> str:
    number, of = len(progress.models), len(job.record.models)
    model = f" {plain(progress.models[-1])}" if progress.models else ""
    which = f" (model {number} of {of})" if of > 1 and number else ""
    return f"{plain(progress.phase.capitalize())}{model}{which}"


def _counts(progress: Progress) -> str:
    if not progress.total:
        return "Preparing: libraries and data are loaded"
    unit = "epochs" if progress.phase == "training" else "tasks"
    failed = f", {progress.failures} failed" if progress.failures else ""
    return f"{progress.done} of {progress.total} {unit}{failed}"


def _lines(job: Job) -> None:
    told = [text for event in job.events if (text := sentence(event))]
    log = job.log(_LOG_LINES)
    if told:
        st.code("\n".join(told[-_LOG_LINES:]), language=None, wrap_lines=True)
    if log:
        with st.expander("What it wrote to its log", expanded=job.state in ("failed", "orphaned")):
            st.code(log, language=None, wrap_lines=True)


def _asked_long_ago(job: Job) -> bool:
    try:
        return datetime.now(UTC).timestamp() - (job.folder / "cancelled").stat().st_mtime > _SLOW_STOP
    except OSError:
        return False


def _since(iso: str) -> float:
    try:
        return datetime.fromisoformat(iso).timestamp()
    except ValueError:
        return datetime.now(UTC).timestamp()
