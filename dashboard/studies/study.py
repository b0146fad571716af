"""What the pages of all studies share: which one to look at, its table and its charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import streamlit as st

from raiaudit.dashboard.figures import draw_chart
from raiaudit.dashboard.nothing import say_nothing_yet
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.wording import instant, plain
from raiaudit.errors import StorageError
from raiaudit.reports.studies.study import cell_lines, study_blocks, study_notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from raiaudit.audit.store import Home
    from raiaudit.audit.studies.study import Shelf, Study
    from raiaudit.reports.formats.blocks import Block
    from raiaudit.reports.studies.pdf import Chart

__all__ = ["chosen", "draw_blocks", "draw_charts", "draw_foot", "draw_table"]

_Kind = TypeVar("_Kind", bound="Study")


def chosen(shelf: Shelf[_Kind], home: Home, pages: Pages, *, empty: str, command: str) -> _Kind | None:
    """The newest study or the one picked, under its title; None where there is none: `command` makes one."""
    found = [study for path in shelf.paths(home) if (study := _read(shelf, path)) is not None]
    if not found:
        say_nothing_yet(home, pages, empty, command)
        return None
    study = found[0]
    if len(found) > 1:
        by_id = {one.id: one for one in found}
        study = by_id[st.selectbox("Study", list(by_id), format_func=lambda id_: _title(by_id[id_]))]
    st.header(plain(_title(study)), anchor=False)
    return study


def draw_table(study: Study) -> None:
    """Every metric by variant."""
    draw_blocks(study_blocks(study), alt="Every metric by variant, with differences")


def draw_blocks(blocks: Iterable[Block], *, alt: str) -> None:
    """Tables of cells with several lines, the first of them the value."""
    for block in blocks:
        if block.title:
            st.markdown(f"**{plain(block.title)}**")
        st.table(
            [
                {
                    block.header[0]: _lines(first, strong=False),
                    **{
                        plain(name): _lines(lines, strong=True)
                        for name, lines in zip(block.header[1:], cells, strict=True)
                    },
                }
                for first, *cells in block.rows
            ],
            border="horizontal",
            hide_index=True,
            alt=alt,
        )


def draw_charts(study: Study, charts: Sequence[Chart]) -> None:
    """Two beside each other."""
    told = "; ".join(
        f"{row.variant}: {cell_lines(metric, row.cells[metric])[0]}"
        for metric in study.metrics
        for row in study.rows
    )
    for start in range(0, len(charts), 2):
        places = st.columns(2, gap="large")
        for place, (caption, chart) in zip(places, charts[start : start + 2], strict=False):
            with place:
                draw_chart(chart, f"Chart. {caption} {told}")
                st.caption(plain(caption))


def draw_foot(study: Study, pages: Pages) -> None:
    """Its notes, and the audits behind it."""
    for note in study_notes(study):
        st.caption(plain(note))
    st.subheader("The audits behind it")
    with st.container(horizontal=True):
        for row in study.rows:
            link(pages, "run", plain(row.variant), run=row.run)


def _read(shelf: Shelf[_Kind], path: Path) -> _Kind | None:
    try:
        return shelf.read(path)
    except StorageError as error:
        st.warning(f"A study is left out. {plain(error)}", icon=":material/warning:")
        return None


def _title(study: Study) -> str:
    partial = " (partial)" if study.partial else ""
    return f"{study.name} on {study.data}{partial} · {instant(study.made)}"


def _lines(lines: Sequence[str], *, strong: bool) -> str:
    first, *rest = (plain(line) for line in lines if line)
    return (f"**{first}**" if strong else first) + "".join(f"  \n:gray[{line}]" for line in rest)
