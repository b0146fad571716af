"""Inside the model: the atlas of a layer to walk about in, channels beside real images, and attention heads.

Reads the evidence of `explanations.inside` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from raiaudit.dashboard.figures import draw_chart
from raiaudit.dashboard.nothing import say_nothing_yet
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.reading import RunEntry, list_runs
from raiaudit.dashboard.wording import instant, plain
from raiaudit.reports.charts.inside import atlas_map, head_importance
from raiaudit.reports.figures.inside import cell_title, channel_figures, head_sheet, look_figures
from raiaudit.reports.pictures.inside import atlas_picture, enlarged
from raiaudit.reports.words.wording import percent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from raiaudit.audit.store import Home

__all__ = ["show"]

_CHECK = "explanations.inside"
_SHOWN = 12
_COLUMNS = 4
_WORDS = 40


def show(home: Home, pages: Pages) -> None:
    """Draw the page."""
    st.title("Inside the model")
    entries = [entry for entry in list_runs(home) if (entry.run.folder / "evidence" / _CHECK).is_dir()]
    if not entries:
        why = f"No run looked inside a model yet: that is the check {_CHECK} in a spec."
        say_nothing_yet(home, pages, why, "raiaudit run examples/explanations_digits.yaml")
        return
    entry = _chosen(entries)
    link(pages, "run", "The whole audit", run=entry.id)
    tables: dict[str, pl.DataFrame] = {}
    for name in ("channels", "atlas", "atlas_examples", "heads", "attention"):
        try:
            table = entry.run.evidence(_CHECK, name)
        except (pl.exceptions.PolarsError, OSError) as error:
            st.warning(f"The table {name} cannot be read: {plain(error)}", icon=":material/warning:")
            continue
        if table is not None and not table.is_empty():
            tables[name] = table
    if not tables:
        st.info("This run holds nothing to show: the model has no such layers, or the check did not run.")
    if "atlas" in tables and "atlas_examples" in tables:
        _atlas(tables["atlas"], tables["atlas_examples"])
    if "channels" in tables:
        _channels(tables["channels"])
    if "heads" in tables:
        _heads(tables["heads"])
    if "attention" in tables:
        _looks(tables["attention"])


def _chosen(entries: list[RunEntry]) -> RunEntry:
    by_id = {entry.id: entry for entry in entries}
    asked = st.query_params.get("run")
    ids = list(by_id)
    chosen = st.selectbox(
        "Run",
        ids,
        index=ids.index(asked) if asked in by_id else 0,
        format_func=lambda id_: _title(by_id[id_]),
    )
    st.query_params["run"] = chosen
    return by_id[chosen]


def _title(entry: RunEntry) -> str:
    header = entry.header
    if header is None:
        return f"{entry.id} · damaged"
    return f"{header.model} on {header.data} · {instant(header.started)} · {entry.id}"


def _atlas(cells: pl.DataFrame, examples: pl.DataFrame) -> None:
    st.header("Activation atlas", anchor=False)
    st.markdown(
        f"{cells['n'].sum():,} test images laid out by what the layer **{plain(cells['layer'][0])}** makes "
        "of them: what lies together, the model takes for alike. Each icon is made to excite the layer as "
        "its cell does. Larger icons stand for more images; distances between islands say nothing."
    )
    left, right = st.columns(2, gap="large")
    fullest = "; ".join(cell_title(cell) for cell in cells.sort("n", descending=True).head(8).to_dicts())
    with left:
        picture = atlas_picture(cells)
        assert picture is not None
        st.image(picture, width="stretch", alt=f"Atlas of the layer. The fullest: {fullest}.")
        st.caption("What each cell responds to; framed: more errors than everywhere else, beyond chance")
    with right:
        worst = cells.sort("error_rate", descending=True).head(8).to_dicts()
        told = "; ".join(cell_title(cell) for cell in worst)
        draw_chart(atlas_map(cells), f"Chart. Error rate by cell. The highest: {told}")
        st.caption("Error rate by cell, at the same places; a dot: beyond chance (Fisher, adjusted, q ≤ 5 %)")
    ordered = cells.sort(["more_errors", "errors", "n"], descending=True).to_dicts()
    cell = st.selectbox("Cell (those with errors first)", ordered, format_func=cell_title, key="cell")
    _cell(
        cell, examples.filter((pl.col("column") == cell["column"]) & (pl.col("row") == cell["row"])), examples
    )


def _cell(cell: Mapping[str, Any], members: pl.DataFrame, everyone: pl.DataFrame) -> None:
    facts, pictures = st.columns([1, 1.6], gap="large")
    with facts:
        bounds = f"[{percent(cell['low'])}, {percent(cell['high'])}]"
        overall = percent(float(everyone["error"].to_numpy().mean()))
        beyond = "too few images to compare" if cell["q"] is None else f"q = {cell['q']:.2g} against the rest"
        st.markdown(
            f"**Errors** {cell['errors']} of {cell['n']}: {percent(cell['error_rate'])} % {bounds}; "
            f"everywhere {overall} %; {beyond}"
        )
        st.table(_shares("Predicted", members["predicted"], everyone["predicted"]), border="horizontal")
        for name in [column for column in members.columns if column.startswith("group:")]:
            title = f"Group {name.removeprefix('group:')}"
            st.table(_shares(title, members[name], everyone[name]), border="horizontal")
    with pictures:
        st.markdown("**Real images of the cell: errors first, then those nearest to its middle**")
        shown = (
            members.drop_nulls("image")
            .sort(["error", "nearest"], descending=[True, False])
            .head(_SHOWN)
            .to_dicts()
        )
        for start in range(0, len(shown), _COLUMNS):
            places = st.columns(_COLUMNS)
            for place, row in zip(places, shown[start : start + _COLUMNS], strict=False):
                with place:
                    said = f"{row['example_id']}: {row['label']}, predicted {row['predicted']}"
                    st.image(enlarged(row["image"]), width="stretch", alt=said)
                    wrong = f":red[✗ {plain(row['predicted'])}]" if row["error"] else plain(row["predicted"])
                    st.caption(f"{plain(row['label'])} → {wrong}  \n{plain(row['example_id'])}")


def _shares(title: str, here: pl.Series, everywhere: pl.Series) -> list[dict[str, str]]:
    """Levels found here, the commonest first, with their share here and everywhere."""
    counts = here.value_counts(sort=True, name="n").to_dicts()
    total, every = max(1, len(here)), max(1, len(everywhere))
    return [
        {
            plain(title): plain(row[here.name]),
            "Here": f"{percent(row['n'] / total)} % ({row['n']})",
            "Everywhere": f"{percent(int((everywhere == row[here.name]).sum()) / every)} %",
        }
        for row in counts
    ]


def _channels(table: pl.DataFrame) -> None:
    st.header("Channels", anchor=False)
    st.markdown(
        "First an image made to excite the channel, then the real test images that do most. A ratio of 1 "
        "means that the made image excites the channel as much as the best real one; where the two look "
        "nothing alike, believe the real ones."
    )
    figures = list(channel_figures(table, table.height))
    for start in range(0, len(figures), 3):
        for place, figure in zip(st.columns(3), figures[start : start + 3], strict=False):
            with place:
                assert isinstance(figure.drawing, bytes)
                st.image(figure.drawing, width="stretch", alt=figure.alt)
                st.caption(plain(figure.caption))


def _heads(table: pl.DataFrame) -> None:
    st.header("Attention heads", anchor=False)
    chart, numbers = st.columns([1, 1.5], gap="large")
    (sheet,) = head_sheet(table)
    with chart:
        draw_chart(head_importance(table), "Chart. Loss added without each head; the table has the numbers.")
        st.caption("Loss added without each head, in nats; a dot: beyond chance (q ≤ 5 %)")
    with numbers:
        rows = [{title: plain(text) for title, text in row.items()} for row in sheet.records()]
        st.table(rows, border="horizontal", hide_index=True)
        st.caption(plain(sheet.note))


def _looks(table: pl.DataFrame) -> None:
    st.header("Where heads look", anchor=False)
    rows = table.to_dicts()
    row = st.selectbox(
        "Example", rows, format_func=lambda one: f"{one['example_id']}: {one['label']}", key="look"
    )
    figures = list(look_figures([row]))
    for figure in figures:
        assert isinstance(figure.drawing, bytes)
        st.image(figure.drawing, alt=figure.alt)
        st.caption(plain(figure.caption))
    if figures:
        return
    layers, heads, tokens = row["shape"]
    layer = st.selectbox("Layer", range(layers), key="layer")
    for head in range(heads):
        start = (layer * heads + head) * tokens
        weights = row["looks"][start : start + tokens]
        words = zip(row["tokens"][:_WORDS], weights, strict=False)
        st.markdown(
            f"**Head {head}** "
            + " ".join(f"{plain(word) or '␣'} :gray[{weight:.0%}]" for word, weight in words)
        )
