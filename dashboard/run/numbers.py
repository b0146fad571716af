"""Every number of a check, plain words beside each metric: groups side by side, all else by metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard import tables
from raiaudit.dashboard.tables import Html
from raiaudit.dashboard.wording import plain, unbroken
from raiaudit.reports.words.metric_words import explained
from raiaudit.reports.words.wording import check_title, interval, metric_title, slice_text, value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.measurement import Measurement

__all__ = ["metric_heading", "show"]

_BETTER = {"higher": "↑ higher", "lower": "↓ lower", "neither": ""}


def show(measurements: Sequence[Measurement], check: str) -> None:
    """Draw the tables, then the sources of the methods."""
    if not measurements:
        st.markdown("This check measured nothing.")
        return
    by_group = [m for m in measurements if "group" in m.where and "reference" not in m.where]
    attributes: dict[str, list[Measurement]] = {}
    for measurement in by_group:
        attributes.setdefault(str(measurement.where.get("attribute", "group")), []).append(measurement)
    for attribute, found in attributes.items():
        _group_table(attribute, found, check)
    rest = [m for m in measurements if m not in by_group]
    if rest:
        _table(rest, check)
    _sources(measurements)


def metric_heading(metric: str, slice_: str = "", *, beside: str = "") -> Html:
    """The metric's title, where it was measured, and what it says and does not say.

    `beside`: a title that stands there already, not to be said twice.
    """
    title = metric_title(metric)
    return tables.joined(
        tables.text(title if title != beside else ""), tables.less(slice_), tables.less(explained(metric))
    )


def _group_table(attribute: str, measurements: Sequence[Measurement], check: str) -> None:
    """A row a quantity, a column a group: value, interval and n in each cell."""
    levels = list(dict.fromkeys(str(m.where["group"]) for m in measurements))
    rows: dict[tuple[str, str], dict[str, Html]] = {}
    for measurement in measurements:
        rest = {key: val for key, val in measurement.where.items() if key not in ("attribute", "group")}
        place = (measurement.metric, slice_text(rest))
        rows.setdefault(place, {})[str(measurement.where["group"])] = _group_cell(measurement)
    tables.draw(
        f"{check_title(check)} for each group of {attribute}: value, interval, examples",
        [tables.text(attribute), *(tables.text(level) for level in levels)],
        [
            (metric_heading(*place), [cells.get(level, tables.text("—")) for level in levels])
            for place, cells in rows.items()
        ],
    )


def _group_cell(measurement: Measurement) -> Html:
    n = f"n = {measurement.n:,}"
    if measurement.value is None:
        return tables.joined(tables.less(value(measurement)), tables.less(n))
    return tables.joined(
        tables.strong(value(measurement)), tables.less(unbroken(interval(measurement))), tables.less(n)
    )


def _table(measurements: Sequence[Measurement], check: str) -> None:
    """A group of rows a metric, a row a slice; a column that says nothing in any row is left out."""
    levels = {m.confidence for m in measurements if m.low is not None}
    found = [(m.metric, _row(m, one_level=len(levels) <= 1)) for m in measurements]
    used = [name for name in found[0][1] if any(row[name] for _, row in found)]
    metrics: dict[str, list[list[Html]]] = {}
    for metric, row in found:
        metrics.setdefault(metric, []).append([row[name] for name in used])
    titles = {"Interval": f"{levels.pop():.0%} interval"} if len(levels) == 1 else {}
    tables.draw_groups(
        f"{check_title(check)}: every number",
        [tables.text(title) for title in ("Measure", *(titles.get(name, name) for name in used))],
        [(metric_heading(metric), rows) for metric, rows in metrics.items()],
    )


def _row(measurement: Measurement, *, one_level: bool) -> dict[str, Html]:
    level = "" if one_level or measurement.low is None else f" at {measurement.confidence:.0%}"
    defined = measurement.value is not None
    return {
        "Where": tables.text(slice_text(measurement.where)),
        "Value": tables.strong(value(measurement)) if defined else tables.less(value(measurement)),
        "Interval": tables.text(unbroken(interval(measurement) + level)),
        "n": tables.text(f"{measurement.n:,}"),
        "Better": tables.text(unbroken(_BETTER[measurement.better])),
        "Remark": tables.text(measurement.reason or "" if defined else ""),
        "Method": tables.text(measurement.method),
    }


def _sources(measurements: Sequence[Measurement]) -> None:
    from raiaudit.audit.bibliography import BIBLIOGRAPHY

    methods = sorted({m.method for m in measurements} & BIBLIOGRAPHY.keys())
    if methods:
        with st.expander("Methods cited", icon=":material/menu_book:"):
            st.markdown(
                "\n".join(f"- **{plain(method)}**: {plain(BIBLIOGRAPHY[method])}" for method in methods)
            )
