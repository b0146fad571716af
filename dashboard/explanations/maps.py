"""Attribution maps to look at: methods side by side, each with its verdict.

Images lie under their map, whose opacity a slider sets; texts are heat maps of words; rows of a table are
signed bars. A change of the slider draws the maps anew and nothing else (a Streamlit fragment).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import streamlit as st

from raiaudit.dashboard.explanations.heat_map import heat_map
from raiaudit.dashboard.figures import draw_chart
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.reading import evidence_table
from raiaudit.dashboard.theme import BADGES
from raiaudit.dashboard.wording import plain
from raiaudit.errors import StorageError
from raiaudit.reports.charts import signed_bars
from raiaudit.reports.figures.drawing import example_title
from raiaudit.reports.pictures.examples import blended
from raiaudit.reports.theme import VERDICTS
from raiaudit.reports.words.map_verdicts import best_method, map_verdict, method_words
from raiaudit.reports.words.map_words import map_in_words, weights_in_words, weights_of

if TYPE_CHECKING:
    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run

__all__ = ["CHECK", "maps_of", "method_badge", "show", "show_example"]

CHECK = "explanations.attribution"
_AT_FIRST = 3  # methods shown before anybody chooses
_SIDE = 224
_LEGEND = "Orange speaks for the prediction, blue against it."
_STRIPED = "Orange, without stripes, speaks for the prediction; blue, in white stripes, against it."


def maps_of(run: Run) -> pl.DataFrame | None:
    """The maps a run kept, with the method of each; None where it kept none. Raises `StorageError`."""
    table = evidence_table(run, CHECK, "maps")
    if table is None or table.is_empty() or not {"example_id", "map", "shape", "input"} <= set(table.columns):
        return None
    if "method" not in table.columns:  # of runs that knew one method alone
        table = table.with_columns(method=pl.lit("integrated_gradients"))
    return table


def show(run: Run, results: Results, pages: Pages) -> None:
    """The maps of a run: choose an example and methods."""
    try:
        table = maps_of(run)
    except StorageError as error:
        st.warning(f"The maps cannot be read. {plain(error)}", icon=":material/warning:")
        return
    if table is None:
        return
    st.markdown("**Maps, example by example**")
    titles = {row["example_id"]: example_title(row) for row in table.unique("example_id").to_dicts()}
    examples = table["example_id"].unique(maintain_order=True).to_list()
    _explore(table, examples, titles, run, results, pages)


@st.fragment
def _explore(
    table: pl.DataFrame,
    examples: list[str],
    titles: dict[str, str],
    run: Run,
    results: Results,
    pages: Pages,
) -> None:
    example = st.selectbox("Example", examples, format_func=lambda id_: titles[id_], key="map-example")
    _draw(table.filter(pl.col("example_id") == example), results, "map")
    link(pages, "example", f"Everything about {plain(example)}", run=run.id, example=example)


@st.fragment
def show_example(rows: pl.DataFrame, results: Results) -> None:
    """The maps of one example, a row a method."""
    _draw(rows, results, "one")


def method_badge(results: Results, method: str) -> str:
    """A method's verdict as Markdown: a coloured badge with symbol and words."""
    verdict = map_verdict(results, method)
    if verdict is None:
        return ":gray-badge[○ not judged]"
    symbol = VERDICTS[verdict.status].symbol
    return f":{BADGES[verdict.status]}-badge[{symbol} {verdict.short}]"


def _draw(rows: pl.DataFrame, results: Results, key: str) -> None:
    methods = rows["method"].unique(maintain_order=True).to_list()
    best = best_method(results, methods)
    shown = [best.name, *(method for method in methods if method != best.name)]
    if len(methods) > 1:
        shown = st.multiselect(
            f"Methods ({plain(method_words(best.name))} is {best.why})",
            shown,
            default=shown[:_AT_FIRST],
            format_func=method_words,
            key=f"{key}-methods",
        )
    drawn = [rows.filter(pl.col("method") == method).row(0, named=True) for method in shown]
    if not drawn:
        st.caption("Choose a method to see its map.")
    elif results.data.modality == "image":
        _images(drawn, results, key)
    else:
        _named(drawn, results)


def _images(drawn: list[dict[str, Any]], results: Results, key: str) -> None:
    percent = st.slider(
        "Opacity of the map over the input",
        0,
        100,
        60,
        5,
        format="%d %%",
        key=f"{key}-opacity",
        help="0 % shows the input alone, 100 % the map alone, on white",
    )
    st.caption(f"Shown: the input under a map that covers {percent} % of it. {_STRIPED}")
    with st.container(horizontal=True, gap="medium"):
        for row in drawn:
            with st.container(width=_SIDE, gap="xsmall"):
                picture = blended(row, percent / 100)
                method = method_words(row["method"])
                if picture is None:
                    st.caption(f"{plain(method)}: this map is no picture")
                    continue
                told = map_in_words(row)
                alt = f"{method} over {row['example_id']} at {percent} % opacity. {told}"
                st.image(picture, width="stretch", alt=alt)
                st.markdown(f"{plain(method)}  \n{method_badge(results, row['method'])}")
                st.caption(plain(told))


def _named(drawn: list[dict[str, Any]], results: Results) -> None:
    """Texts below each other, rows of a table two beside each other."""
    drawn = [row for row in drawn if row.get("features") is not None]
    if results.data.modality == "tabular":
        for start in range(0, len(drawn), 2):
            for place, row in zip(st.columns(2, gap="large"), drawn[start : start + 2], strict=False):
                with place:
                    weights = weights_of(row)
                    _headed(row, results)
                    draw_chart(signed_bars(weights), f"Chart. {weights_in_words(weights)}")
        return
    for row in drawn:
        _headed(row, results)
        st.html(heat_map(weights_of(row)))
    st.caption(f"{_LEGEND} Numbers are shares of the largest weight: + for, − against.")


def _headed(row: dict[str, Any], results: Results) -> None:
    st.markdown(f"{plain(method_words(row['method']))} {method_badge(results, row['method'])}")
