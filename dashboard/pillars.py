"""The evidence of a run by pillar: each check's question, its charts, and every number it measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard import figures
from raiaudit.dashboard.wording import chip, interval, plain, value, where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import CheckOutcome, Results
    from raiaudit.audit.store import Run

__all__ = ["PILLARS", "show"]

PILLARS = ("performance", "robustness", "privacy", "fairness", "explanations", "reliability")
_TALL = 14  # rows a table may have before it scrolls
_TABLE_HEIGHT = 560


def show(run: Run, results: Results) -> None:
    """Draw the tabs; only the open one is computed. The address remembers which (`?pillar=`)."""
    others = {check.check.split(".")[0] for check in results.checks} - set(PILLARS)
    names = [*PILLARS, *sorted(others)]
    tabs = st.tabs([plain(name.capitalize()) for name in names], key="pillar", bind="query-params")
    for name, tab in zip(names, tabs, strict=True):
        if tab.open:
            with tab:
                _pillar(run, results, name)


def _pillar(run: Run, results: Results, pillar: str) -> None:
    checks = [check for check in results.checks if check.check.split(".")[0] == pillar]
    if not checks:
        st.info(f"This audit's spec asks nothing about {plain(pillar)}.", icon=":material/block:")
    for check in checks:
        _check(run, results, check)


def _check(run: Run, results: Results, check: CheckOutcome) -> None:
    st.subheader(plain(check.question or check.check))
    st.caption(plain(check.check))
    if check.status != "ran":
        st.markdown(f"{chip(check.status)} {plain(check.reason or 'no reason was recorded')}")
        return
    figures.show(run, results, check.check)
    _table([m for m in results.measurements if m.check == check.check], check.check)


def _table(measurements: Sequence[Measurement], check: str) -> None:
    if not measurements:
        st.markdown("This check measured nothing.")
        return
    rows = [_row(measurement) for measurement in measurements]
    # A column that says nothing in any row is left out.
    used = [name for name in rows[0] if any(row[name] for row in rows)]
    st.table(
        [{name: row[name] for name in used} for row in rows],
        border="horizontal",
        hide_index=True,
        height=_TABLE_HEIGHT if len(rows) > _TALL else "content",
        alt=f"Measurements of {check}",
    )


def _row(measurement: Measurement) -> dict[str, str]:
    arrow = {"higher": "↑ higher", "lower": "↓ lower", "neither": ""}[measurement.better]
    return {
        "Measure": plain(measurement.metric.replace("_", " ")),
        "Where": plain(where(measurement.where)),
        "Value": f"**{value(measurement)}**",
        "Interval": interval(measurement) + _level(measurement),
        "n": f"{measurement.n:,}",
        "Better": arrow,
        "Undefined because": plain(measurement.reason) if measurement.value is None else "",
        "Method": plain(measurement.method),
    }


def _level(measurement: Measurement) -> str:
    return "" if measurement.low is None else f" :gray[({measurement.confidence:.0%})]"
