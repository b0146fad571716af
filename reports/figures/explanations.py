"""Explanations: deletion curves, maps over inputs, and what attribution lies on by class and group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from raiaudit.reports.figures.drawing import PICTURES, Drawing, Figure, chart_figure, columns, example_title
from raiaudit.reports.figures.quality import faithfulness_verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from raiaudit.audit.results import Results

__all__ = ["FIGURES", "first_maps", "map_title"]

_COLUMNS_BY_GROUP = 8
_LEVELS = 6


def first_maps(table: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows to show: of each method as many, of the same examples, example by example."""
    if "method" not in table.columns or table.is_empty():
        return table.head(PICTURES).to_dicts()
    examples = table["example_id"].unique(maintain_order=True)
    shown = examples.head(max(2, PICTURES // table["method"].n_unique()))
    order = dict(zip(shown, range(len(shown)), strict=True))
    rows = table.filter(pl.col("example_id").is_in(shown.implode())).to_dicts()
    return sorted(rows, key=lambda row: order[row["example_id"]])


def map_title(row: Mapping[str, Any], several: bool) -> str:
    """Which example, by which method where there are several, and whether such maps are to be believed."""
    title = example_title(row)
    if several:
        title = f"{_plain(row['method'])}, {title}"
    verdict = row.get("verdict")
    return title if verdict in (None, "beats random rankings") else f"{title} ({verdict})"


def _plain(method: str) -> str:
    return method.replace("_", " ")


def _several(table: pl.DataFrame) -> bool:
    return "method" in table.columns and table["method"].n_unique() > 1


def _deletion(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import deletion_curve

    caption = "Prediction while features are removed: by the explanation's ranking, and at random."
    means = table.drop("removed").mean().row(0, named=True)
    ends = "; ".join(f"{name}: mean {mean:.3f}" for name, mean in means.items())
    yield chart_figure(caption, deletion_curve(table), ends)


def _maps(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.pictures import saliency_overlay

    for row in first_maps(table):
        if (picture := saliency_overlay(row)) is not None:
            verdict = faithfulness_verdict(results, str(row.get("method", "integrated_gradients")))
            title = "; ".join(text for text in (map_title(row, _several(table)), verdict) if text)
            yield Figure(title, f"Attribution map over the input. {title}", picture)


def _shares(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import attribution_by_level, attribution_shares

    for (method,), rows in table.group_by("method", maintain_order=True):
        everyone = rows.filter(pl.col("by") == "all").sort("share", descending=True)
        caption = f"What {_plain(str(method))} lies on: the share of each column, with 95 % intervals."
        yield chart_figure(caption, attribution_shares(everyone), _in_words(everyone, "column"))
        if method != table["method"][0]:
            continue  # by group the first method speaks for all: the table of evidence has the others
        top = everyone["column"].head(_COLUMNS_BY_GROUP)
        for (by,), part in rows.filter(pl.col("by") != "all").group_by("by", maintain_order=True):
            levels = part.unique("level").sort("n", descending=True)["level"].head(_LEVELS)
            if len(levels) < 2:
                continue
            shown = part.filter(
                pl.col("column").is_in(top.implode()) & pl.col("level").is_in(levels.implode())
            )
            named = "by predicted class" if by == "predicted" else f"by {by}"
            caption = f"What {_plain(str(method))} lies on, {named}: the columns with the largest shares."
            differing = shown.filter(pl.col("p") <= 0.05)["column"].unique(maintain_order=True).to_list()
            if differing:
                caption += f" The groups differ (adjusted p ≤ 0.05) in {', '.join(differing)}."
            points = _in_words(
                shown.with_columns(pl.format("{}, {}", "column", "level").alias("line")), "line"
            )
            yield chart_figure(caption, attribution_by_level(shown), points)


def _words(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import words_by_class

    for (method, label), rows in table.group_by("method", "class", maintain_order=True):
        caption = (
            f"Words that speak most for “{label}” by {_plain(str(method))}, over the texts so predicted."
        )
        chart = words_by_class(rows, order=rows["word"].to_list())
        points = "; ".join(f"{row['word']} {row['mean']:.3f}" for row in rows.iter_rows(named=True))
        yield chart_figure(caption, chart, points)


def _class_maps(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.pictures import saliency_overlay

    several = _several(table)
    for row in table.iter_rows(named=True):
        if (picture := saliency_overlay(row)) is not None:
            by = f"{_plain(row['method'])}, " if several else ""
            title = f"{by}mean of {row['n']} predicted “{row['class']}”"
            yield Figure(title, f"Mean attribution map over the mean image. {title}", picture)


def _in_words(table: pl.DataFrame, line: str) -> str:
    return "; ".join(
        f"{row[line]}: {row['share']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        for row in table.iter_rows(named=True)
    )


FIGURES: dict[str, tuple[Drawing, ...]] = {
    "explanations.attribution": (
        Drawing("curve", columns("removed"), "Deletion curve", _deletion),
        Drawing(
            "shares",
            columns("method column by level share low high n p watched"),
            "Attribution by column",
            _shares,
            optional=True,
        ),
        Drawing("words", columns("method class word mean texts"), "Words by class", _words, optional=True),
        Drawing("maps", columns("example_id label predicted shape input map"), "Attribution maps", _maps),
        Drawing(
            "class_maps",
            columns("method class n shape map input"),
            "Mean maps by class",
            _class_maps,
            optional=True,
        ),
    ),
}
