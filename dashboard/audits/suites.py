"""One suite of runs, the newest unless `?suite=` names another: its verdict matrix, then the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.audits import matrix
from raiaudit.dashboard.choosing import choose
from raiaudit.dashboard.libraries import import_libraries
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.reading import RunEntry, results_of
from raiaudit.dashboard.wording import instant, plain, shortened, visible
from raiaudit.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.results import Results, RunHeader

__all__ = ["by_suite", "show"]


def by_suite(entries: Sequence[RunEntry]) -> dict[str, list[tuple[RunEntry, RunHeader]]]:
    """Readable runs by suite, the suite with the newest run first, its runs in the order of the spec.

    `entries` are newest first.
    """
    found: dict[str, list[tuple[RunEntry, RunHeader]]] = {}
    for entry in entries:
        if entry.header is not None:
            found.setdefault(entry.header.suite, []).append((entry, entry.header))
    return {
        suite: sorted(runs, key=lambda pair: (pair[1].started, pair[0].id)) for suite, runs in found.items()
    }


def show(entries: Sequence[RunEntry], pages: Pages) -> None:
    """Draw the section; nothing where no run has finished. `entries` are newest first."""
    finished = by_suite([entry for entry in entries if entry.header and entry.header.status == "finished"])
    if not finished:
        return
    st.header("Verdicts", anchor=False)
    suites = list(finished)
    suite = choose("suite", "Suite", suites, lambda each: _title(finished[each])) if suites[1:] else suites[0]
    runs = finished[suite]
    results = _results(runs)
    if not results:
        return
    matrix.draw(
        f"{_spec(runs[0][1])}: the worst verdict of each pillar’s gates. A cell opens its evidence.",
        results,
    )
    if len(results) > 1:
        ids = ",".join(result.run for result in results)
        link(pages, "compare", "Compare these models, example by example", runs=ids)
    numbers = st.expander(
        "Numbers side by side",
        icon=":material/table_chart:",
        key="numbers",
        on_change="rerun",
        bind="query-params",
    )
    if numbers.open:
        import_libraries()
        from raiaudit.dashboard.audits import side_by_side  # its charts are slow to import

        with numbers:
            side_by_side.show(results)


def _results(runs: Sequence[tuple[RunEntry, RunHeader]]) -> list[Results]:
    found = []
    for entry, _ in runs:
        try:
            found.append(results_of(entry.run))
        except StorageError as error:
            st.warning(f"**{plain(entry.id)}** is left out. {plain(error)}", icon=":material/warning:")
    return found


def _title(runs: Sequence[tuple[RunEntry, RunHeader]]) -> str:
    newest = runs[-1][1]
    models = f"{len(runs)} models" if len(runs) > 1 else visible(shortened(newest.model))
    return f"{_spec(newest)} · {models} · {instant(newest.started)}"


def _spec(header: RunHeader) -> str:
    return header.spec_path or header.suite
