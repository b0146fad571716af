"""The figures of a check: the PDF's own, shown live. A table that cannot be read costs its figures alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.night import at_night
from raiaudit.dashboard.reading import evidence_of
from raiaudit.dashboard.wording import plain
from raiaudit.errors import StorageError
from raiaudit.reports.figures import figures, group_sheets, sheets
from raiaudit.reports.figures.explanations import spokesman
from raiaudit.reports.theme import FONT

if TYPE_CHECKING:
    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run
    from raiaudit.reports.charts.style import AnyChart
    from raiaudit.reports.figures import Figure, Sheet

__all__ = ["draw_chart", "draw_sheet", "show"]

_EXPLORED = {"explanations.attribution": ("maps",)}  # what `dashboard.explanations.maps` shows
_WIDEST = 340  # pixels: three pictures a row
_PAGE_FONT = "Source Sans, Source Sans Pro, sans-serif"


def show(run: Run, results: Results, check: str) -> None:
    """Draw charts two beside each other, pictures in rows."""
    try:
        evidence = evidence_of(run, check)
    except StorageError as error:
        st.warning(f"The figures are missing. {plain(error)}", icon=":material/warning:")
        return
    drawn, left_out = figures(check, evidence, results, without=_EXPLORED.get(check, ()))
    pictures = [figure for figure in drawn if isinstance(figure.drawing, bytes)]
    charts = [figure for figure in drawn if not isinstance(figure.drawing, bytes)]
    for start in range(0, len(charts), 2):
        for column, figure in zip(st.columns(2, gap="large"), charts[start : start + 2], strict=False):
            with column:
                _draw(figure)
    if pictures:
        with st.container(horizontal=True, gap="medium"):
            for figure in pictures:
                with st.container(width=_place(figure), gap="xsmall"):
                    _draw(figure)
    if note := spokesman(evidence, results) if check == "explanations.attribution" else "":
        st.caption(plain(note))
    # The page lists every group and pair of levels below.
    for sheet in sheets(check, evidence, results) if check not in group_sheets.SHEETS else []:
        draw_sheet(sheet)
    for line in left_out:
        st.caption(plain(line))


def _draw(figure: Figure) -> None:
    if isinstance(figure.drawing, bytes):
        st.image(figure.drawing, width=_place(figure), alt=figure.alt)
    else:
        draw_chart(figure.drawing, figure.alt)
    st.caption(plain(figure.caption))


def _place(figure: Figure) -> int:
    """The width of a picture, and of the place for it and its caption, in pixels."""
    assert isinstance(figure.drawing, bytes)
    return min(_WIDEST * (2 if figure.broad else 1), _width(figure.drawing))


def draw_sheet(sheet: Sheet) -> None:
    """As a static table: its texts wrap, where cells of a grid would be cut."""
    st.markdown(f"**{plain(sheet.caption)}**")
    rows = [{title: plain(text) for title, text in row.items()} for row in sheet.records()]
    st.table(rows, border="horizontal", hide_index=True, alt=sheet.caption)
    if sheet.note:
        st.caption("  \n".join(plain(line) for line in sheet.note.split("\n")))


def draw_chart(chart: AnyChart, alt_text: str) -> None:
    """One of the report's charts, live, as wide as its place and in the theme the browser shows."""
    spec = chart.to_dict(validate=False)
    spec["config"] = json.loads(json.dumps(spec["config"]).replace(FONT, _PAGE_FONT))
    spec["config"].get("legend", {}).pop("columns", None)  # a page is wide enough for one row
    if st.context.theme.type == "dark":
        spec = at_night(spec)
    st.vega_lite_chart(spec, width="stretch", theme=None, alt=alt_text)


def _width(png: bytes) -> int:
    from io import BytesIO

    from PIL import Image

    return Image.open(BytesIO(png)).width
