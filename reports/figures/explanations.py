"""Explanations: deletion curves and maps over inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.reports.figures.drawing import PICTURES, Drawing, Figure, chart_figure, columns, example_title
from raiaudit.reports.figures.quality import faithfulness_verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from raiaudit.audit.results import Results

__all__ = ["FIGURES"]


def _deletion(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import deletion_curve

    caption = "Prediction while features are removed: by the explanation's ranking, and at random."
    means = table.drop("removed").mean().row(0, named=True)
    ends = "; ".join(f"{name}: mean {mean:.3f}" for name, mean in means.items())
    yield chart_figure(caption, deletion_curve(table), ends)


def _maps(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.pictures import saliency_overlay

    for row in table.head(PICTURES).iter_rows(named=True):
        if (picture := saliency_overlay(row)) is not None:
            verdict = faithfulness_verdict(results, str(row.get("method", "integrated_gradients")))
            caption = "; ".join(text for text in (example_title(row), verdict) if text)
            yield Figure(caption, f"Attribution map over the input. {caption}", picture)


FIGURES: dict[str, tuple[Drawing, ...]] = {
    "explanations.attribution": (
        Drawing("curve", columns("removed"), "Deletion curve", _deletion),
        Drawing("maps", columns("example_id label predicted shape input map"), "Attribution maps", _maps),
    ),
}
