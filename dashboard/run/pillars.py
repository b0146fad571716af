"""The evidence of a run by pillar: each check's question, its figures, and every number it measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard import figures
from raiaudit.dashboard.explanations import maps
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.wording import chip, plain
from raiaudit.reports.remarks import remarks
from raiaudit.reports.wording import check_title, interval, metric_title, slice_text, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.results import CheckOutcome, Results
    from raiaudit.audit.store import Run

__all__ = ["PILLARS", "pillar_of", "show"]

PILLARS = ("performance", "robustness", "privacy", "fairness", "explanations", "reliability")
_TALL = 16  # rows a table may have before it scrolls
_TABLE_HEIGHT = 600
_BETTER = {"higher": "↑\u00a0higher", "lower": "↓\u00a0lower", "neither": ""}


def pillar_of(check: str) -> str:
    """`robustness.evasion` → "robustness"."""
    return check.split(".")[0]


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
                _pillar(run, results, name)


def _asked(results: Results, pillar: str) -> bool:
    return any(pillar_of(check.check) == pillar for check in results.checks)


def _pillar(run: Run, results: Results, pillar: str) -> None:
    # A spec may use a check several times; its measurements and figures are one.
    uses: dict[str, list[CheckOutcome]] = {}
    for check in results.checks:
        if pillar_of(check.check) == pillar:
            uses.setdefault(check.check, []).append(check)
    if not uses:
        st.info(f"This audit's spec asks nothing about {plain(pillar)}.", icon=":material/block:")
    for outcomes in uses.values():
        _check(run, results, outcomes)


def _check(run: Run, results: Results, outcomes: Sequence[CheckOutcome]) -> None:
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
            maps.show(run, results)
        figures.show(run, results, check)
        _numbers([m for m in results.measurements if m.check == check], check)


def _numbers(measurements: Sequence[Measurement], check: str) -> None:
    """Groups side by side, then everything else as a list."""
    if not measurements:
        st.markdown("This check measured nothing.")
        return
    by_group = [m for m in measurements if "group" in m.where and "reference" not in m.where]
    groups: dict[str, list[Measurement]] = {}
    for measurement in by_group:
        groups.setdefault(str(measurement.where.get("attribute", "group")), []).append(measurement)
    for attribute, found in groups.items():
        _group_table(attribute, found, check)
    rest = [m for m in measurements if m not in by_group]
    if rest:
        _table(rest, check)


def _group_table(attribute: str, measurements: Sequence[Measurement], check: str) -> None:
    """A row a quantity, a column a group: value, interval and n in each cell."""
    levels = list(dict.fromkeys(str(m.where["group"]) for m in measurements))
    rows: dict[str, dict[str, str]] = {}
    for measurement in measurements:
        rest = {key: val for key, val in measurement.where.items() if key not in ("attribute", "group")}
        slice_ = plain(slice_text(rest))
        title = plain(metric_title(measurement.metric)) + (f"  \n:gray[{slice_}]" if slice_ else "")
        rows.setdefault(title, {})[str(measurement.where["group"])] = _group_cell(measurement)
    heading = plain(attribute)
    st.table(
        [
            {heading: title} | {plain(level): cells.get(level, "—") for level in levels}
            for title, cells in rows.items()
        ],
        border="horizontal",
        hide_index=True,
        alt=f"Measurements of {check} for each group of {attribute}",
    )


def _group_cell(measurement: Measurement) -> str:
    n = f":gray[n = {measurement.n:,}]"
    if measurement.value is None:
        return f":gray[{plain(value(measurement))}] {n}"
    return f"**{_unbroken(value(measurement))}** {_unbroken(interval(measurement))}  \n{n}"


def _unbroken(text: str) -> str:
    return plain(text).replace(" ", "\u00a0")


def _table(measurements: Sequence[Measurement], check: str) -> None:
    levels = {m.confidence for m in measurements if m.low is not None}
    rows = [_row(measurement, one_level=len(levels) <= 1) for measurement in measurements]
    # A column that says nothing in any row is left out.
    used = [name for name in rows[0] if any(row[name] for row in rows)]
    titles = {"Interval": f"{levels.pop():.0%} interval"} if len(levels) == 1 else {}
    st.table(
        [{titles.get(name, name): row[name] for name in used} for row in rows],
        border="horizontal",
        hide_index=True,
        height=_TABLE_HEIGHT if len(rows) > _TALL else "content",
        alt=f"Measurements of {check}",
    )


def _row(measurement: Measurement, *, one_level: bool) -> dict[str, str]:
    level = "" if one_level or measurement.low is None else f" at {measurement.confidence:.0%}"
    defined = measurement.value is not None
    shown = _unbroken(value(measurement)) if defined else plain(value(measurement))
    return {
        "Measure": plain(metric_title(measurement.metric)),
        "Where": plain(slice_text(measurement.where)),
        "Value": f"**{shown}**" if defined else f":gray[{shown}]",
        "Interval": _unbroken(interval(measurement) + level),
        "n": f"{measurement.n:,}",
        "Better": _BETTER[measurement.better],
        "Remark": plain(measurement.reason or "") if defined else "",
        "Method": plain(measurement.method),
    }
