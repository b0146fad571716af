"""Explanations under attack: how much of a map stays, and maps before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.reports.figures.drawing import PICTURES, Drawing, Figure, chart_figure, columns, points_of
from raiaudit.reports.words.map_verdicts import mark_of
from raiaudit.reports.words.wording import eps_unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from raiaudit.audit.results import Results

__all__ = ["FIGURES"]


def _stability(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import overlap_against_eps

    caption = (
        "The most relevant features that stay so while the input moves and the answer stays: "
        "at random, and by an attack on the map."
    )
    named = table.with_columns(series=table["method"].str.replace_all("_", " ") + ", " + table["attack"])
    points = points_of(named, "series", "eps", "overlap")
    chart = overlap_against_eps(table, of=eps_unit(results.data.modality))
    yield chart_figure(caption, chart, points)


def _pairs(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.pictures.examples import map_pair

    for row in table.head(PICTURES).iter_rows(named=True):
        if (picture := map_pair(row)) is not None:
            method = row["method"].replace("_", " ")
            title = f"{row['example_id']}, {row['predicted']}: {method}, {row['overlap']:.0%} kept"
            title = f"{title} {mark_of(results, row['method'])}".rstrip()
            alt = (
                f"Input and attribution map before (left) and after (right) an attack on the map within "
                f"{row['eps']:g}. {title}"
            )
            yield Figure(title, alt, picture)


FIGURES: dict[str, tuple[Drawing, ...]] = {
    "explanations.stability": (
        Drawing("curve", columns("method attack eps overlap low high"), "Maps under attack", _stability),
        Drawing(
            "pairs",
            columns("example_id predicted method eps overlap shape input map attacked attacked_map"),
            "Maps before and after the attack",
            _pairs,
            optional=True,
        ),
    ),
}
