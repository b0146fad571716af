"""A run that has no results yet, or never will: running, stopped, damaged."""

from __future__ import annotations

from typing import Any

import streamlit as st

from raiaudit.audit.results import RunHeader
from raiaudit.audit.store import Run
from raiaudit.dashboard.reading import journal_tail
from raiaudit.dashboard.wording import run_command
from raiaudit.errors import StorageError

__all__ = ["damaged", "running", "stopped"]

_TAIL = 12
_UNSHOWN = frozenset({"time", "event", "run", "model", "details"})


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
    if total:
        st.progress(done / total, text=f"{done} of {total} tasks finished")
    else:
        st.progress(0.0, text="Preparing: the model is loaded, or trained if the registry lacks it")
    st.caption("This page follows the run by itself.")
    _journal(run)


def stopped(run: Run, header: RunHeader) -> None:
    """What went wrong and how to go on."""
    if header.status == "failed":
        st.error("The run stopped with an error. Finished tasks are kept.", icon=":material/error:")
    else:
        st.warning("The run was interrupted. Finished tasks are kept.", icon=":material/pause_circle:")
    if header.error:
        st.code(header.error, language=None, wrap_lines=True)
    done, total = header.progress
    if total:
        st.markdown(f"{done} of {total} tasks had finished. This command does the rest:")
    else:
        st.markdown("No task had finished. This command starts again:")
    again = header.command or run_command(header.spec_path, run.folder.parent.parent)
    st.code(again, language="bash")
    _journal(run)


def damaged(problem: str) -> None:
    """A run whose files cannot be read; other runs are not affected."""
    st.error("This run cannot be shown; the others are not affected.", icon=":material/broken_image:")
    st.code(problem, language=None, wrap_lines=True)


def _journal(run: Run) -> None:
    events = journal_tail(run, _TAIL)
    if not events:
        return
    st.subheader(f"Last {len(events)} events", anchor=False)
    st.code("\n".join(_line(event) for event in events), language=None, wrap_lines=True)


def _line(event: dict[str, Any]) -> str:
    """`10:15:03  task_finished  check=… seconds=0.4`: one event on one line."""
    clock = str(event.get("time", ""))[11:19]
    facts = " ".join(
        f"{key}={' '.join(str(val).split())}" for key, val in event.items() if key not in _UNSHOWN
    )
    return f"{clock}  {event.get('event', '')}  {facts}".rstrip()
