"""Concepts and training examples: scores, pictures beside their training images, and lists of ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from raiaudit.reports.figures.drawing import PICTURES, Drawing, Figure, chart_figure, columns, example_title
from raiaudit.reports.figures.sheet import Sheet
from raiaudit.reports.words.wording import decimal, percent

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.results import Results

__all__ = ["FIGURES", "SHEETS"]

_CHARTS = 6
_ROWS = 25  # of one chart
_NAMED = 8  # audited examples in the list
_RELATIONS = ("helpful", "harmful", "nearest")


def _scores(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    """A chart for each class, or for each concept where these are fewer; of each layer."""
    import polars as pl

    from raiaudit.reports.charts import concept_scores

    significant = pl.when(pl.col("p_value") <= 0.05).then(pl.lit("significant"))
    table = table.with_columns(
        verdict=significant.when(pl.col("value").is_not_null()).then(pl.lit("not significant"))
    )
    by_class = table["class"].n_unique() <= table["concept"].n_unique()
    one, rows = ("class", "concept") if by_class else ("concept", "class")
    drawn = 0
    for (layer, name), part in table.group_by("layer", one, maintain_order=True):
        if part["value"].null_count() == part.height:
            continue
        if (drawn := drawn + 1) > _CHARTS:
            return
        scored = part.head(_ROWS)
        caption = f"TCAV scores: {one} {name}, at {layer}. Filled circles: significant after correction."
        if without := scored["value"].null_count():
            caption += f" {without} without a score."
        words = [
            f"{row[rows]}: {percent(row['value'])} % ({row['verdict']})"
            if row["value"] is not None
            else f"{row[rows]}: no score, {row['reason']}"
            for row in scored.iter_rows(named=True)
        ]
        chart = concept_scores(scored.drop("reason"), rows="concept" if by_class else "class")
        yield chart_figure(caption, chart, "; ".join(words))


def _pictures(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.pictures.examples import beside

    for row in table.head(PICTURES).iter_rows(named=True):
        if (picture := beside(row)) is None:
            continue
        kin = ", ".join(
            f"{relation} ({label})"
            for relation, label in zip(row["relation"], row["train_label"], strict=True)
        )
        caption = f"{example_title(row)}. Beside it, training images: {kin}."
        yield Figure(caption, f"Pictures side by side. {caption}", picture)


def _examples(table: pl.DataFrame, results: Results) -> Iterator[Sheet]:
    import polars as pl

    titles = [
        ("Prediction", 1.2, False),
        *((f"Most {name}" if name != "nearest" else "Nearest", 1.2, False) for name in _RELATIONS),
    ]
    rows: list[tuple[str, ...]] = []
    for (_,), kin in table.group_by("example_id", maintain_order=True):
        if len(rows) == _NAMED:
            break
        named = {
            relation: ", ".join(
                f"{row['train_id']} ({row['train_label']})"
                for row in kin.filter(pl.col("relation") == relation).head(2).iter_rows(named=True)
            )
            for relation in _RELATIONS
        }
        rows.append((example_title(kin.row(0, named=True)), *named.values()))
    caption = "Training examples behind predictions: label → prediction, then ids with their classes"
    yield Sheet(caption, tuple(titles), tuple(rows), "By TracIn at the final weights, one checkpoint.")


def _suspects(table: pl.DataFrame, results: Results) -> Iterator[Sheet]:
    titles = (
        ("Training example", 1.6, False),
        ("Label", 1.0, False),
        ("Predicted", 1.0, False),
        ("Self-influence", 0.9, True),
        ("Neighbours with the label", 1.1, True),
    )
    rows = tuple(
        (
            row["example_id"],
            row["label"],
            row["predicted"],
            decimal(row["self_influence"]),
            f"{percent(row['neighbours_agree'])} %",
        )
        for row in table.iter_rows(named=True)
    )
    yield Sheet("Training labels to look at, the most suspicious first", titles, rows)


FIGURES: dict[str, tuple[Drawing, ...]] = {
    "explanations.concepts": (
        Drawing(
            "scores", columns("class concept layer value low high p_value reason"), "TCAV scores", _scores
        ),
    ),
    "explanations.influence": (
        Drawing(
            "pictures",
            columns("example_id label predicted shape input relation train_label train_input"),
            "Training images",
            _pictures,
            optional=True,
        ),
    ),
}

SHEETS: Mapping[str, Mapping[str, Callable[[pl.DataFrame, Results], Iterator[Sheet]]]] = {
    "explanations.influence": {"examples": _examples, "suspects": _suspects}
}
