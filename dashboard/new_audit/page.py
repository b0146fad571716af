"""New audit: a form made from the spec's schema, the YAML it makes, and a button that runs it.

The rest of the dashboard reads. Why this page may write one spec and start one process, and when it may not,
is told in `raiaudit.dashboard.jobs.starting` and `raiaudit.dashboard.new_audit.local`. `?job=` names a job to
follow, `?for=training` makes it the form of a training. `--unsafe-load` is not to be had here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.audit.catalogue import all_checks
from raiaudit.dashboard.jobs.job import list_jobs
from raiaudit.dashboard.jobs.starting import spec_path
from raiaudit.dashboard.new_audit.actions import offer
from raiaudit.dashboard.new_audit.checking import check
from raiaudit.dashboard.new_audit.checks_section import options_of
from raiaudit.dashboard.new_audit.data_section import chosen_now
from raiaudit.dashboard.new_audit.following import jobs_so_far, show_job
from raiaudit.dashboard.new_audit.known import names_known
from raiaudit.dashboard.new_audit.local import obstacle_here
from raiaudit.dashboard.new_audit.state import State
from raiaudit.dashboard.new_audit.yaml_text import commented
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.wording import plain

if TYPE_CHECKING:
    from raiaudit.audit.store import Home

__all__ = ["show"]

# A constant. What the spec comes to stays in sight beside a long form, or stands below it on a narrow screen.
_STYLE = """<style>
@media (max-width: 1050px) {
  .st-key-new_audit > div > .stHorizontalBlock > .stColumn {flex: 1 1 100%; min-width: 100%}
}
@media (min-width: 1051px) {
  .st-key-new_audit > div > .stHorizontalBlock > .stColumn:last-child > .stVerticalBlock
    {position: sticky; top: 4.5rem; max-height: calc(100vh - 6rem); overflow-y: auto}
}
</style>"""


def show(home: Home, pages: Pages) -> None:
    """Draw the page."""
    obstacle = obstacle_here()
    jobs = list_jobs(home)
    asked = st.query_params.get("job")
    followed = next((job for job in jobs if job.id == asked), None)
    if followed is not None:
        show_job(home, pages, followed, obstacle)
        return
    state = State("training" if st.query_params.get("for") == "training" else "audit")
    st.title("New audit" if state.audits else "Train a model", anchor=False)
    if asked is not None:
        st.warning(f"There is no job {plain(asked)} here.", icon=":material/warning:")
    for job in jobs:
        if job.at_work:
            title = f"{plain(job.record.title)} is running: follow it"
            link(pages, "new", title, icon="play_circle", job=job.id)
    _write(home, state, obstacle)
    jobs_so_far(pages, jobs)


def _write(home: Home, state: State, obstacle: str | None) -> None:
    """The form or the YAML on the left; beside it what the validator says, and what can be done."""
    st.html(_STYLE)
    form = state.form()
    with st.container(horizontal=True, vertical_alignment="center", gap="large"):
        in_form = state.choose_mode()
        state.offer_beginnings(drafts=obstacle is None)
    state.say_unfit()
    with st.container(key="new_audit"):
        written, beside = st.columns([3, 2], gap="medium")
    with written:
        if in_form:
            spec = form.draw(names_known(home, chosen_now(form.form), local=obstacle is None))
            text = commented(spec, _questions())
            state.keep(text)
        else:
            text = state.edit()
    path = spec_path(home, state.name_of(text), text)
    # The validator looks for files that a spec names: only for somebody who may look for them anyway.
    found = check(text, path) if obstacle is None else None
    if in_form and isinstance(found, list):
        form.form.tell(found)
    with beside:
        offer(home, state, found, text, path, obstacle)
        if in_form:
            st.code(text, language="yaml", wrap_lines=True)


def _questions() -> dict[str, Any]:
    return {name: (check.question, options_of(check)) for name, check in all_checks().items()}
