"""How a job ended, in words: a verdict with its runs, a model, an error with its remedy, or silence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.audit.store import Run
from raiaudit.dashboard.jobs.progress import progress_of
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.wording import chip, plain
from raiaudit.errors import StorageError

if TYPE_CHECKING:
    from raiaudit.audit.store import Home
    from raiaudit.dashboard.jobs.job import Job

__all__ = ["LOG_LINES", "show_end"]

LOG_LINES = 12


def show_end(home: Home, pages: Pages, job: Job) -> None:
    """Draw the end of a job that has ended."""
    match job.state:
        case "finished" if job.record.kind == "training":
            _models(job)
        case "finished":
            _runs(home, pages, [str(run) for run in (job.conclusion or {}).get("runs", [])])
        case "cancelled":
            st.warning(
                "What was finished is kept; resuming does only the rest.", icon=":material/pause_circle:"
            )
            _runs(home, pages, progress_of(job.events).runs)
        case "failed":
            st.error(_failure(job), icon=":material/error:")
            _runs(home, pages, progress_of(job.events).runs)
        case _:
            st.error(_silence(job), icon=":material/error:")
            _runs(home, pages, progress_of(job.events).runs)


def _models(job: Job) -> None:
    for model in (job.conclusion or {}).get("models", []):
        accuracy = model.get("metrics", {}).get("validation_accuracy")
        said = f", validation accuracy {100 * accuracy:.1f} %" if isinstance(accuracy, float) else ""
        st.success(
            f"**{plain(model.get('name'))}** is registered as version {plain(model.get('version'))}{said}",
            icon=":material/check_circle:",
        )


def _runs(home: Home, pages: Pages, ids: list[str] | tuple[str, ...]) -> None:
    for run_id in ids:
        run = Run(home.runs_folder / Path(run_id).name)
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
    text = str(last["error"]) if last is not None and "error" in last else job.log(LOG_LINES)
    code = last.get("exit_code") if last is not None else job.exit_code
    problem, _, remedy = text.partition("\n→ ")
    said = f"{plain(problem) or 'It failed.'} :gray[(exit code {plain(code)})]"
    return f"{said}  \n→ {plain(remedy)}" if remedy else said


def _silence(job: Job) -> str:
    code = job.exit_code
    how = f"signal {-code} ended it" if code is not None and code < 0 else "its process is gone"
    return (
        f"It ended without a word: {how}. Perhaps it was killed, the machine ran out of memory or was "
        "switched off. What was finished is kept; resuming does only the rest."
    )
