"""Counterfactual tests: how decisions turn with the group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.reports.figures.drawing import Drawing, chart_figure, columns
from raiaudit.reports.figures.group_sheets import ASKED_OF

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from raiaudit.audit.results import Results
    from raiaudit.reports.figures.drawing import Figure

__all__ = ["FIGURES"]

_EFFECTS = 16


def _effects(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    import polars as pl

    from raiaudit.reports.charts import counterfactual_effects

    measured = table.drop_nulls("p_adjusted")
    for (source,), rows in measured.group_by("source", maintain_order=True):
        effect = pl.col("effect").abs()
        kept = rows.sort(effect, descending=True, maintain_order=True).head(_EFFECTS)
        shown = kept.sort("attribute", "effect", descending=[False, True], maintain_order=True)
        told = "; ".join(
            f"{row['attribute']} from {row['from']} to {row['to']}: {row['effect']:+.1%} "
            f"({row['low']:+.1%} to {row['high']:+.1%}), {row['flips']} of {row['n']} turned"
            for row in shown.iter_rows(named=True)
        )
        some = f"; the {_EFFECTS} largest of {rows.height}" if rows.height > _EFFECTS else ""
        title = f"Decisions that turn with the group: {ASKED_OF.get(str(source), str(source))}{some}. "
        title += f"The positive class is “{shown['positive'][0]}”."
        yield chart_figure(title, counterfactual_effects(shown), told)


FIGURES: dict[str, tuple[Drawing, ...]] = {
    "fairness.counterfactual": (
        Drawing(
            "flips",
            columns("source attribute from to positive n flips flip_rate effect low high p_adjusted"),
            "Counterfactual tests",
            _effects,
        ),
    ),
}
