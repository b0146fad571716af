"""Calibration: the reliability diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.reports.figures.drawing import Drawing, chart_figure, columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from raiaudit.audit.results import Results
    from raiaudit.reports.figures.drawing import Figure

__all__ = ["FIGURES"]


def _reliability(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts import reliability_diagram

    points = "; ".join(
        f"{a:.2f}: {b:.2f}" for a, b in table.select("confidence", "accuracy").drop_nulls().iter_rows()
    )
    caption = "Accuracy in bins of confidence, with interval; the diagonal is perfect calibration."
    yield chart_figure(caption, reliability_diagram(table), points)


FIGURES: dict[str, tuple[Drawing, ...]] = {
    "reliability.calibration": (
        Drawing("bins", columns("confidence accuracy low high n"), "Reliability diagram", _reliability),
    ),
}
