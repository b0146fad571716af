"""The trade-off studies of this home: the table with paired differences, and accuracy against leakage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.audit.tradeoff.study import TRADEOFFS
from raiaudit.dashboard.figures import draw_chart
from raiaudit.dashboard.wording import instant, plain
from raiaudit.errors import StorageError
from raiaudit.reports.tradeoff import METRIC_TITLES, cell_lines, metric_slice, tradeoff_notes

if TYPE_CHECKING:
    from pathlib import Path

    from streamlit.navigation.page import StreamlitPage

    from raiaudit.audit.store import Home
    from raiaudit.audit.studies.study import Study

__all__ = ["show"]


def show(home: Home, run_page: StreamlitPage) -> None:
    """Draw the page; `run_page` is where a variant's name leads."""
    st.title("Trade-offs")
    found = [study for path in TRADEOFFS.paths(home) if (study := _read(path)) is not None]
    if not found:
        st.info(
            "No trade-off study yet. It trains a task plainly, adversarially, privately and both: "
            "raiaudit tradeoff examples/tradeoff.yaml"
        )
        return
    study = found[0]
    if len(found) > 1:
        by_id = {one.id: one for one in found}
        chosen = st.selectbox("Study", list(by_id), format_func=lambda id_: _title(by_id[id_]))
        study = by_id[chosen]
    st.header(plain(_title(study)), anchor=False)
    _table(study)
    _charts(study)
    for note in tradeoff_notes(study):
        st.caption(plain(note))
    st.subheader("The audits behind it")
    with st.container(horizontal=True):
        for row in study.rows:
            st.page_link(run_page, label=plain(row.variant), query_params={"run": row.run})


def _read(path: Path) -> Study | None:
    try:
        return TRADEOFFS.read(path)
    except StorageError as error:
        st.warning(f"A study is left out. {plain(error)}", icon=":material/warning:")
        return None


def _title(study: Study) -> str:
    partial = " (partial)" if study.partial else ""
    return f"{study.name} on {study.data}{partial} · {instant(study.made)}"


def _table(study: Study) -> None:
    rows = []
    for metric in study.metrics:
        told = metric_slice(study, metric)
        row = {"": plain(METRIC_TITLES[metric]) + (f"  \n:gray[{plain(told)}]" if told else "")}
        for variant in study.rows:
            value, *change = cell_lines(metric, variant.cells[metric])
            row[plain(variant.variant)] = f"**{plain(value)}**" + "".join(
                f"  \n:gray[{plain(line)}]" for line in change
            )
        rows.append(row)
    st.table(rows, border="horizontal", hide_index=True, alt="Every metric by variant, with differences")


def _charts(study: Study) -> None:
    from raiaudit.reports.tradeoff_pdf import tradeoff_charts

    shown = list(tradeoff_charts(study))
    told = "; ".join(
        f"{row.variant}: {cell_lines(metric, row.cells[metric])[0]}"
        for metric in study.metrics
        for row in study.rows
    )
    for start in range(0, len(shown), 2):
        places = st.columns(2, gap="large")
        for place, (caption, chart) in zip(places, shown[start : start + 2], strict=False):
            with place:
                draw_chart(chart, f"Chart. {caption} {told}")
                st.caption(plain(caption))
