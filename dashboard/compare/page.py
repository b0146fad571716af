"""Runs held against the first of them: what differs, what to read first, drawn, in tables, by example."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.audit.comparison.differences import refuse_incomparable
from raiaudit.dashboard.compare.choosing import choose_runs, comparable
from raiaudit.dashboard.compare.computing import comparison_of, pdf_of
from raiaudit.dashboard.compare.examples import changed_examples
from raiaudit.dashboard.compare.tables import draw
from raiaudit.dashboard.figures import draw_chart
from raiaudit.dashboard.nothing import say_nothing_yet
from raiaudit.dashboard.pages import link
from raiaudit.dashboard.reading import list_runs, results_of
from raiaudit.dashboard.wording import plain
from raiaudit.errors import NotComparableError, StorageError
from raiaudit.reports.comparison.differences import difference_blocks
from raiaudit.reports.comparison.findings import findings, reading_notes
from raiaudit.reports.comparison.tables import ASIDE, EXAMPLES, comparison_tables, gap_block, run_block
from raiaudit.reports.words.comparison_words import comparison_title

if TYPE_CHECKING:
    from raiaudit.audit.comparison.results import Comparison
    from raiaudit.audit.store import Home
    from raiaudit.dashboard.pages import Pages
    from raiaudit.dashboard.reading import RunEntry

__all__ = ["show"]

_TALLEST = 1200  # pixels of a chart


def show(home: Home, pages: Pages) -> None:
    """Draw the page."""
    st.title("Compare")
    entries = list_runs(home)
    offered = comparable(entries)
    if len(offered) < 2:
        _too_few(home, pages, len(offered))
        return
    chosen = choose_runs(entries, offered)
    if len(chosen) < 2:
        st.info(
            "Pick two runs or more. The first one picked is the reference.", icon=":material/compare_arrows:"
        )
        return
    together = _together(chosen)
    if len(together) < 2:
        return
    try:
        comparison = comparison_of([entry.run for entry in together])
    except (NotComparableError, StorageError, OSError) as error:
        st.error(f"These runs cannot be compared. {plain(error)}", icon=":material/broken_image:")
        return
    _comparison(comparison, pages)


def _too_few(home: Home, pages: Pages, count: int) -> None:
    there = "There is no finished run yet." if not count else "There is one finished run."
    need = "A comparison needs two on the same data: audit another model, or the same one trained anew."
    say_nothing_yet(home, pages, f"{there} {need}", "raiaudit run examples/digits.yaml")


def _together(chosen: Sequence[RunEntry]) -> list[RunEntry]:
    """Those that can be held against the first that can be read; why the others cannot is said."""
    kept: list[RunEntry] = []
    for entry in chosen:
        try:
            results = results_of(entry.run)
            if kept:
                refuse_incomparable((entry.run, results), (kept[0].run, results_of(kept[0].run)))
        except NotComparableError as error:
            st.error(plain(error), icon=":material/difference:")
        except StorageError as error:
            st.error(
                f"{plain(entry.id)} is left out: it is damaged. {plain(error)}",
                icon=":material/broken_image:",
            )
        else:
            kept.append(entry)
    return kept


def _comparison(comparison: Comparison, pages: Pages) -> None:
    st.markdown(f"**{plain(comparison_title(comparison))}** :gray[{comparison.audited:,} audited examples]")
    draw([run_block(comparison)], alt="The runs that are compared, the reference first")
    _downloads(comparison)
    with st.container(horizontal=True):
        for run in comparison.runs:
            link(pages, "run", f"Run of {plain(run.name)}", run=run.id)
    st.header("What differs besides the results", anchor=False)
    blocks = list(difference_blocks(comparison))
    if blocks:
        draw(blocks, alt="Fields in which the runs differ")
    else:
        st.markdown("Nothing: same data, seed, code, model and spec.")
    st.header("What to read first", anchor=False)
    for name, told in groupby(findings(comparison), key=itemgetter(0)):
        st.markdown("\n".join([f"**{plain(name)}**", "", *(f"- {plain(line)}" for _, line in told)]))
    _forests(comparison)
    for table in comparison_tables(comparison):
        st.header(plain(table.title), anchor=False)
        if table.note:
            st.caption(plain(table.note))
        if table.title == EXAMPLES:
            changed_examples(comparison, pages)
        elif table.title in ASIDE:
            with st.expander("Show the table"):
                draw(table.blocks, alt=table.title)
        else:
            draw(table.blocks, alt=table.title)
    if (gaps := gap_block(comparison)) is not None:
        st.header("Not compared", anchor=False)
        draw([gaps], alt="Quantities that were not compared, and why")
    for note in reading_notes(comparison):
        st.caption(plain(note))


def _forests(comparison: Comparison) -> None:
    from raiaudit.reports.charts.comparison import forest, forest_text
    from raiaudit.reports.comparison.pdf import FORESTS

    for kind, caption in FORESTS:
        deltas = getattr(comparison, kind)
        if (chart := forest(comparison, deltas, tallest=_TALLEST)) is not None:
            draw_chart(chart, forest_text(comparison, deltas))
            st.caption(plain(caption))


def _downloads(comparison: Comparison) -> None:
    with st.container(horizontal=True):
        st.download_button(
            "PDF of this comparison",
            lambda: pdf_of(comparison),
            file_name="comparison.pdf",
            mime="application/pdf",
            icon=":material/picture_as_pdf:",
            on_click="ignore",
        )
        st.download_button(
            "comparison.json",
            lambda: comparison.model_dump_json(indent=2),
            file_name="comparison.json",
            mime="application/json",
            icon=":material/data_object:",
            on_click="ignore",
        )
