"""The evidence of a run by pillar: each check's question, its figures, and every number it measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard import figures
from raiaudit.dashboard.examples.finding import ANY_ATTACK
from raiaudit.dashboard.explanations import maps
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.pillars import PILLARS, pillar_of
from raiaudit.dashboard.run import numbers
from raiaudit.dashboard.wording import chip, plain
from raiaudit.reports.words.remarks import remarks
from raiaudit.reports.words.wording import check_title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.results import CheckOutcome, Results
    from raiaudit.audit.store import Run

__all__ = ["show"]

# What a pillar's single examples are looked at for: a link's label, and the filter it sets.
_EXAMPLES = {
    "performance": ("Look at the examples it has wrong", {"answer": "wrong"}),
    "robustness": ("Look at the examples that attacks broke", {"answer": "right", "broken": ANY_ATTACK}),
    "explanations": ("Look at single examples", {}),
    "reliability": (
        "Look at the examples it is worst calibrated on",
        {"sort": "calibration.brier", "down": "yes"},
    ),
}


def show(run: Run, results: Results, pages: Pages) -> None:
    """Draw the tabs; only the open one is computed. The address remembers which (`?pillar=`)."""
    others = {pillar_of(check.check) for check in results.checks} - set(PILLARS)
    names = [*PILLARS, *sorted(others)]
    tabs = st.tabs([plain(name.capitalize()) for name in names], key="pillar", bind="query-params")
    for name, tab in zip(names, tabs, strict=True):
        if tab.open:
            with tab:
                if name == "fairness" and _asked(results, name):
                    label = "Explore groups, subgroups, thresholds and rules"
                    link(pages, "fairness", label, icon="groups", run=run.id)
                if name in _EXAMPLES and _asked(results, name):
                    label, query = _EXAMPLES[name]
                    link(pages, "example", label, icon="search", run=run.id, **query)
                _pillar(run, results, name, pages)


def _asked(results: Results, pillar: str) -> bool:
    return any(pillar_of(check.check) == pillar for check in results.checks)


def _pillar(run: Run, results: Results, pillar: str, pages: Pages) -> None:
    # A spec may use a check several times; its measurements and figures are one.
    uses: dict[str, list[CheckOutcome]] = {}
    for check in results.checks:
        if pillar_of(check.check) == pillar:
            uses.setdefault(check.check, []).append(check)
    if not uses:
        st.info(f"This audit's spec asks nothing about {plain(pillar)}.", icon=":material/block:")
    for outcomes in uses.values():
        _check(run, results, outcomes, pages)


def _check(run: Run, results: Results, outcomes: Sequence[CheckOutcome], pages: Pages) -> None:
    check = outcomes[0].check
    st.subheader(plain(check_title(check)), anchor=False)
    st.markdown(plain(outcomes[0].question))
    for outcome in outcomes:
        if outcome.status != "ran":
            st.markdown(f"{chip(outcome.status)} {plain(outcome.reason or 'no reason was recorded')}")
    for remark in remarks(results, check):
        st.markdown(f"{chip('inconclusive')} {plain(remark)}")
    if any(outcome.status == "ran" for outcome in outcomes):
        if check == maps.CHECK:
            maps.show(run, results, pages)
        figures.show(run, results, check)
        numbers.show([m for m in results.measurements if m.check == check], check)
