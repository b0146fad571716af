"""A job on screen: its progress while it runs, its end, what can be done next. Any session can show it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.audit.spec import load_spec
from raiaudit.dashboard.jobs.job import Job
from raiaudit.dashboard.jobs.progress import Progress, progress_of, sentence
from raiaudit.dashboard.jobs.starting import cancel, resume
from raiaudit.dashboard.new_audit.actions import PROBLEM
from raiaudit.dashboard.new_audit.endings import LOG_LINES, show_end
from raiaudit.dashboard.new_audit.foretelling import about
from raiaudit.dashboard.new_audit.local import obstacle_here
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.wording import chip, duration, instant, plain
from raiaudit.errors import RaiauditError

if TYPE_CHECKING:
    from raiaudit.audit.store import Home

__all__ = ["jobs_so_far", "show_job"]

_LOOKS = {
    "running": ":blue-badge[▶ Running]",
    "cancelling": ":gray-badge[‖ Stopping]",
    "cancelled": ":gray-badge[‖ Cancelled]",
    "failed": ":violet-badge[▲ Failed]",
    "finished": ":green-badge[✓ Finished]",
    "orphaned": ":violet-badge[▲ Ended without a word]",
}
_JOBS_SHOWN = 5
_SLOW_TO_STOP = 15.0


def show_job(home: Home, pages: Pages, job: Job, obstacle: str | None) -> None:
    """Draw one job. `obstacle`: why this session may not stop or resume it."""
    st.title(plain(job.record.title), anchor=False)
    st.caption(f"{job.record.kind.capitalize()} started from the dashboard on {instant(job.record.created)}")
    if job.at_work:
        _follow(job, obstacle)
        return
    st.markdown(_chip(job))
    show_end(home, pages, job)
    with st.container(horizontal=True, vertical_alignment="center"):
        if job.state != "finished" and obstacle is None:
            st.button(
                "Try again" if job.state == "failed" else "Resume",
                type="primary",
                icon=":material/play_arrow:",
                on_click=_resume,
                args=(home, job),
            )
        link(pages, "new", "New audit", icon="add")
    if (problem := st.session_state.pop(PROBLEM, None)) is not None:
        st.error(plain(problem), icon=":material/error:")
    if job.state != "finished":
        st.caption("By hand:")
        st.code(shlex.join(["raiaudit", *job.record.command[4:]]), language="bash", wrap_lines=True)
    _told(job)


def jobs_so_far(pages: Pages, jobs: Sequence[Job]) -> None:
    """The newest jobs, one a line."""
    if not jobs:
        return
    st.subheader("Started from here", anchor=False)
    for job in jobs[:_JOBS_SHOWN]:
        state, started, title = st.columns([1.4, 1.6, 3], vertical_alignment="center")
        state.markdown(_chip(job))
        started.markdown(f":gray[{instant(job.record.created)}]")
        with title:
            link(pages, "new", plain(job.record.title), job=job.id)
    if len(jobs) > _JOBS_SHOWN:
        st.caption(f"and {len(jobs) - _JOBS_SHOWN} older ones")


def _chip(job: Job) -> str:
    """Its state as a badge; of a finished audit the verdict."""
    last = job.conclusion
    verdict = last.get("verdict") if job.state == "finished" and last is not None else None
    return (
        chip(verdict)
        if verdict in ("pass", "fail", "inconclusive", "not_run", "error")
        else _LOOKS[job.state]
    )


@st.fragment(run_every=1)
def _follow(job: Job, obstacle: str | None) -> None:
    state = job.state
    if not job.at_work:
        st.rerun()
    progress = progress_of(job.events)
    st.markdown(f"{_LOOKS[state]} {_doing(job, progress)}")
    st.progress(progress.share, text=_counts(progress))
    st.caption(
        f"{duration(_seconds_since(job.record.created))} so far{_expected(job)}{_left(progress)}. "
        "It goes on if you close this page or stop the dashboard."
    )
    if obstacle is None:
        with st.container(horizontal=True):
            stopping = state == "cancelling"
            st.button(
                "Cancel",
                icon=":material/stop_circle:",
                help="Stops it as Ctrl-C does. What is finished is kept, and it can be resumed.",
                disabled=stopping,
                on_click=_cancel,
                args=(job,),
            )
            if stopping and _asked_seconds_ago(job) > _SLOW_TO_STOP:
                st.button("End it at once", icon=":material/dangerous:", on_click=_cancel, args=(job, True))
    _told(job)


def _cancel(job: Job, at_once: bool = False) -> None:
    if obstacle_here() is None:
        cancel(job, at_once=at_once)


def _resume(home: Home, job: Job) -> None:
    if obstacle_here() is not None:
        return
    try:
        st.query_params["job"] = resume(home, job, load_spec(Path(job.record.spec))).id
    except RaiauditError as error:
        st.session_state[PROBLEM] = str(error)


def _doing(job: Job, progress: Progress) -> str:
    number, of = len(progress.models), len(job.record.models)
    model = f" {plain(progress.models[-1])}" if progress.models else ""
    which = f" (model {number} of {of})" if of > 1 and number else ""
    return f"{plain(progress.phase.capitalize())}{model}{which}"


def _counts(progress: Progress) -> str:
    if not progress.total:
        return "No count yet: libraries, data and the registry are opened first"
    unit = "epochs" if progress.phase == "training" else "tasks"
    failed = f", {progress.failures} failed" if progress.failures else ""
    return f"{progress.done} of {progress.total} {unit}{failed}"


def _expected(job: Job) -> str:
    return f" of {about(job.record.expected)} estimated" if job.record.expected is not None else ""


def _left(progress: Progress) -> str:
    if progress.left is None:
        return ""
    what = "of training" if progress.phase == "training" else "of tasks, or more: quick ones come first"
    return f", about {duration(progress.left)} left {what}"


def _told(job: Job) -> None:
    """The last of what it said, for people; its log, if there is one."""
    told = [text for event in job.events if (text := sentence(event))]
    if told:
        st.code("\n".join(told[-LOG_LINES:]), language=None, wrap_lines=True)
    if log := job.log(LOG_LINES):
        with st.expander("The last lines of its log", expanded=job.state in ("failed", "orphaned")):
            st.code(log, language=None, wrap_lines=True)


def _asked_seconds_ago(job: Job) -> float:
    try:
        return time.time() - (job.folder / "cancelled").stat().st_mtime
    except OSError:
        return 0.0


def _seconds_since(iso: str) -> float:
    try:
        return max(0.0, time.time() - datetime.fromisoformat(iso).timestamp())
    except ValueError:
        return 0.0
