"""Explanations: deletion curves, maps over inputs, and what attribution lies on by class and group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from raiaudit.reports.figures.drawing import PICTURES, Drawing, Figure, chart_figure, columns, example_title
from raiaudit.reports.words.map_verdicts import best_method, mark_of, method_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from raiaudit.audit.results import Results

__all__ = ["FIGURES", "first_maps", "map_title", "of_best_method", "spokesman"]

_CHECK = "explanations.attribution"
_COLUMNS_BY_GROUP = 8
_LEVELS = 6
_ROWS = 4  # rows of a table shown as bars
_FIRST = "integrated_gradients"  # the method of runs that name none


def first_maps(table: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows to show: of each method as many, of the same examples, example by example."""
    if table.is_empty() or "method" not in table.columns:
        return table.head(PICTURES).to_dicts()
    examples = table["example_id"].unique(maintain_order=True)
    shown = examples.head(max(2, PICTURES // table["method"].n_unique()))
    order = dict(zip(shown, range(len(shown)), strict=True))
    rows = table.filter(pl.col("example_id").is_in(shown.implode())).to_dicts()
    return sorted(rows, key=lambda row: order[row["example_id"]])


def map_title(row: Mapping[str, Any], several: bool, results: Results) -> str:
    """Which example, by which method where there are several, and a mark where it is not to be relied on."""
    title = example_title(row)
    if several:
        title = f"{method_words(row['method'])}, {title}"
    return f"{title} {mark_of(results, _method(row))}".rstrip()


def _method(row: Mapping[str, Any]) -> str:
    return str(row.get("method", _FIRST))


def _several(table: pl.DataFrame) -> bool:
    return "method" in table.columns and table["method"].n_unique() > 1


def _deletion(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import deletion_curve

    caption = "Prediction while features are removed: by the explanation's ranking, and at random."
    means = table.drop("removed").mean().row(0, named=True)
    ends = "; ".join(f"{name}: mean {mean:.3f}" for name, mean in means.items())
    yield chart_figure(caption, deletion_curve(table), ends)


def _maps(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    """Of images as overlays, of table rows as bars; texts are words (`word_maps`)."""
    from raiaudit.reports.pictures.examples import saliency_overlay
    from raiaudit.reports.words.map_words import map_in_words

    if results.data.modality == "tabular":
        yield from _bars(table, results)
        return
    shown = first_maps(table)
    methods = len({_method(row) for row in shown})
    # A page has room for so many: the maps of one example stay together.
    across = max(1, PICTURES // methods) * methods if methods else 1
    for place, row in enumerate(shown):
        if (picture := saliency_overlay(row)) is not None:
            title = map_title(row, _several(table), results)
            alt = f"Attribution map over the input. {title}. {map_in_words(row)}"
            yield Figure(title, alt, picture, row=f"maps {place // across}")


def _bars(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import signed_bars
    from raiaudit.reports.words.map_words import weights_in_words, weights_of

    if "features" not in table.columns:
        return
    rows, why = of_best_method(table, results)
    for row in rows.drop_nulls("features").head(_ROWS).to_dicts():
        weights = weights_of(row)
        title = f"{map_title(row, _several(table), results)}: what speaks for the prediction"
        caption = f"{title} ({why})." if why else f"{title}."
        yield chart_figure(caption, signed_bars(weights), weights_in_words(weights))


def of_best_method(table: pl.DataFrame, results: Results) -> tuple[pl.DataFrame, str]:
    """The rows of the method that speaks for all, and why it does: empty where there is one alone."""
    if not _several(table):
        return table, ""
    best = best_method(results, table["method"].to_list())
    return table.filter(pl.col("method") == best.name), best.why


def _shares(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import attribution_by_level, attribution_shares

    # By group the best method speaks for all: the table of evidence has the others.
    best = best_method(results, table["method"].to_list())
    for (method,), rows in table.group_by("method", maintain_order=True):
        everyone = rows.filter(pl.col("by") == "all").sort("share", descending=True)
        mark = mark_of(results, str(method))
        caption = f"What {method_words(str(method))} lies on: the share of each column, with 95 % intervals."
        caption = f"{caption} {mark}".rstrip()
        yield chart_figure(caption, attribution_shares(everyone), _in_words(everyone, "column"))
        if method != best.name:
            continue
        top = everyone["column"].head(_COLUMNS_BY_GROUP)
        for (by,), part in rows.filter(pl.col("by") != "all").group_by("by", maintain_order=True):
            levels = part.unique("level").sort("n", descending=True)["level"].head(_LEVELS)
            if len(levels) < 2:
                continue
            shown = part.filter(
                pl.col("column").is_in(top.implode()) & pl.col("level").is_in(levels.implode())
            )
            named = "by predicted class" if by == "predicted" else f"by {by}"
            caption = (
                f"What {method_words(str(method))} lies on, {named}: the columns with the largest shares."
            )
            if best.why:
                caption += f" Shown for {best.why}."
            caption = f"{caption} {mark}".rstrip()
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
        by = method_words(str(method))
        caption = f"Words that speak most for “{label}” by {by}, over the texts so predicted."
        caption = f"{caption} {mark_of(results, str(method))}".rstrip()
        chart = words_by_class(rows, order=rows["word"].to_list())
        points = "; ".join(f"{row['word']} {row['mean']:.3f}" for row in rows.iter_rows(named=True))
        yield chart_figure(caption, chart, points)


def _class_maps(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.pictures.examples import saliency_overlay

    # One method speaks for all: the table of evidence has the others, and every class.
    rows, _ = of_best_method(table, results)
    mark = mark_of(results, str(rows["method"][0]))
    for row in rows.head(2 * PICTURES).iter_rows(named=True):
        if (picture := saliency_overlay(row)) is not None:
            by = f"{method_words(row['method'])}, " if _several(table) else ""
            title = f"{by}mean of {row['n']} predicted “{row['class']}” {mark}".rstrip()
            yield Figure(title, f"Mean attribution map over the mean image. {title}", picture, row="means")


def spokesman(evidence: Mapping[tuple[str, str], pl.DataFrame], results: Results) -> str:
    """By which method mean maps are shown, and why by that one; empty where there is no choice."""
    table = evidence.get((_CHECK, "class_maps"))
    if table is None or table.is_empty() or not _several(table):
        return ""
    best = best_method(results, table["method"].to_list())
    return f"Mean maps by class are those of {method_words(best.name)}, {best.why}."


def _in_words(table: pl.DataFrame, line: str) -> str:
    return "; ".join(
        f"{row[line]}: {row['share']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        for row in table.iter_rows(named=True)
    )


FIGURES: dict[str, tuple[Drawing, ...]] = {
    _CHECK: (
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
