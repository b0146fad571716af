"""Which evidence of which check becomes which figure; the charts themselves are those of the PDF.

Each figure has a title and a sentence that says how to read it, also for those who cannot see it.
A table that is missing, empty or damaged costs that figure alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import altair as alt
import streamlit as st

from raiaudit.dashboard.reading import evidence
from raiaudit.dashboard.wording import plain
from raiaudit.errors import StorageError
from raiaudit.reports import charts
from raiaudit.reports.theme import FONT

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run
    from raiaudit.reports.charts.style import AnyChart

__all__ = ["FIGURES", "Figure", "show"]

_PAGE_FONT = "Source Sans, Source Sans Pro, sans-serif"
_HEIGHT = 260

@dataclass(frozen=True, slots=True)
class Figure:
    """`draw` turns the table `evidence/<check>/<table>.parquet` into a chart."""

    table: str
    title: str
    reading: str
    draw: Callable[[pl.DataFrame], AnyChart]


FIGURES: dict[str, tuple[Figure, ...]] = {
    "robustness.evasion": (
        Figure(
            "curve",
            "Accuracy against the attack's budget",
            "Each point is the share of examples the attack could not break within ε; bands are 95 % intervals.",
            charts.accuracy_against_eps,
        ),
    ),
    "robustness.corruption": (
        Figure(
            "curve",
            "Accuracy under corruption",
            "Accuracy as each corruption grows from mild (1) to strong (5); bands are 95 % intervals.",
            charts.accuracy_against_severity,
        ),
    ),
    "privacy.membership": (
        Figure(
            "roc",
            "Finding members of the training set",
            "True against false positive rate on logarithmic axes; on the dashed line the attack only guesses.",
            charts.membership_roc,
        ),
        Figure(
            "scores",
            "Scores of members and others",
            "The more the two histograms part, the more the model tells about who was in its training data.",
            charts.score_histogram,
        ),
    ),
    "reliability.calibration": (
        Figure(
            "bins",
            "Reliability",
            "Accuracy within bins of confidence; on the diagonal the model is as right as it is sure.",
            charts.reliability_diagram,
        ),
    ),
    "explanations.attribution": (
        Figure(
            "deletion",
            "Deletion",
            "The prediction's probability as the most important features go; a faithful map falls faster than a random one.",
            charts.deletion_curve,
        ),
    ),
}


def show(run: Run, results: Results, check: str) -> None:
    """Draw the figures of a check, two beside each other."""
    drawn = []
    for figure in FIGURES.get(check, ()):
        try:
            table = evidence(run, check, figure.table)
        except StorageError as error:
            st.warning(f"The figure “{figure.title}” is missing. {plain(error)}", icon=":material/warning:")
            continue
        if table is not None and table.height:
            drawn.append((figure, table))
    for start in range(0, len(drawn), 2):
        for column, (figure, table) in zip(
            st.columns(2, gap="large"), drawn[start : start + 2], strict=False
        ):
            with column:
                _draw(figure, figure.draw(table))


def _draw(figure: Figure, chart: AnyChart) -> None:
    st.markdown(f"**{figure.title}**")
    st.altair_chart(
        _for_page(chart), width="stretch", height=_HEIGHT, theme=None, alt=f"{figure.title}. {figure.reading}"
    )
    st.caption(figure.reading)


def _for_page(chart: AnyChart) -> AnyChart:
    """The same chart in the page's typeface."""
    config = json.loads(json.dumps(chart.config.to_dict()).replace(FONT, _PAGE_FONT))
    return chart.properties(config=alt.Config.from_dict(config), width="container")
