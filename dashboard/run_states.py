"""A run that has no results yet, or never will: running, stopped, damaged."""

from __future__ import annotations

import shlex
import time
from typing import Any

import streamlit as st

from raiaudit.audit.results import RunHeader
from raiaudit.audit.store import Run
from raiaudit.dashboard.reading import journal_tail, last_activity
from raiaudit.dashboard.wording import duration, plain
from raiaudit.errors import StorageError

__all__ = ["damaged", "running", "stopped"]

_SILENT_SECONDS = 300
_TAIL = 12


@st.fragment(run_every=2)
def running(run: Run) -> None:
    """Progress and the journal's last lines; the whole page is drawn anew once the run has ended."""
    try:
        header = run.header
    except StorageError as error:
        damaged(str(error))
        return
    if header.status != "running":
        st.rerun()
    done, total = header.progress
    st.progress(done / total if total else 0.0, text=f"{done} of {total} tasks finished")
    silent = time.time() - last_activity(run)
    if silent > _SILENT_SECONDS:
        st.warning(
            f"Nothing was written for {duration(silent)}. If the process was killed, this resumes it; "
            "finished tasks are kept:",
            icon=":material/hourglass_disabled:",
        )
        _resume(header)
    else:
        st.caption(f"Last sign of life {duration(silent)} ago. This page follows by itself.")
    _journal(run)


def stopped(run: Run, header: RunHeader) -> None:
    """What went wrong and how to go on."""
    if header.status == "interrupted":
        st.warning("The run was interrupted. Finished tasks are kept.", icon=":material/pause_circle:")
    else:
        st.error("The run stopped with an error. Finished tasks are kept.", icon=":material/error:")
    if header.error:
        st.code(header.error, language=None, wrap_lines=True)
    done, total = header.progress
    st.markdown(f"{done} of {total} tasks had finished. This command does the rest:")
    _resume(header)
    _journal(run)


def damaged(problem: str) -> None:
    """A run whose files cannot be read; other runs are not affected."""
    st.error("This run cannot be shown; the others are not affected.", icon=":material/broken_image:")
    st.code(problem, language=None, wrap_lines=True)


def _resume(header: RunHeader) -> None:
    spec = shlex.quote(header.spec_path) if header.spec_path else "SPEC"
    st.code(f"raiaudit run {spec}", language="bash")


def _journal(run: Run) -> None:
    events = journal_tail(run, _TAIL)
    if not events:
        return
    st.subheader("Journal")
    st.code("\n".join(_line(event) for event in events), language=None, wrap_lines=True)
    st.caption(f"The last {len(events)} events of {plain('journal.jsonl')}")


def _line(event: dict[str, Any]) -> str:
    return "  ".join(
        f"{key}={val}" if key not in ("event", "time") else str(val) for key, val in event.items()
    )
