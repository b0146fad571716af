"""Fairness: every metric of a group with its interval; how decisions turn with the group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.reports.figures.drawing import Drawing, chart_figure, columns
from raiaudit.reports.wording import in_percent, metric_title

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from raiaudit.audit.results import Results
    from raiaudit.reports.figures.drawing import Figure

__all__ = ["FIGURES"]

_GROUP_CHARTS = 4
_EFFECTS = 16
_ASKED_OF = {
    "table": "columns set to another level",
    "audited": "words exchanged in the audited texts",
    "templates": "sentences from templates",
    "eec": "Equity Evaluation Corpus",
    "hatecheck": "HateCheck",
    "linked": "linked examples",
}
_FIRST_METRICS = ("accuracy", "selection_rate", "robust_accuracy", "membership_auc")


def _by_group(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    import polars as pl

    from raiaudit.reports.charts import group_intervals

    if "slice" not in table.columns:
        table = table.with_columns(pl.lit("").alias("slice"))
    for metric in _group_metrics(table, results):
        rows = table.filter(pl.col("metric") == metric)
        # The strongest attack's slice: the largest radius sorts last, LiRA before the plain loss.
        slices = sorted(rows["slice"].unique().to_list())
        chosen = slices[-1] if metric == "robust_accuracy" else slices[0]
        rows = rows.filter(pl.col("slice") == chosen)
        shown = [
            f"{row['attribute']} {row['group']}: "
            + ("not defined" if row["value"] is None else f"{row['value']:.3g}")
            for row in rows.iter_rows(named=True)
        ]
        title = metric_title(metric) + (f" ({chosen})" if chosen else "")
        chart = group_intervals(rows, title=title, percent=in_percent(metric))
        yield chart_figure(f"{title} by group, with interval.", chart, "; ".join(shown))


def _group_metrics(table: pl.DataFrame, results: Results) -> list[str]:
    """Those with a gate, then the ones people ask for first."""
    known = table["metric"].unique(maintain_order=True).to_list()
    gated = [v.gate.metric for v in results.verdicts if v.check == "fairness.groups" and v.gate is not None]
    order = dict.fromkeys([*gated, *_FIRST_METRICS, *known])
    return [metric for metric in order if metric in known][:_GROUP_CHARTS]


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
        title = f"Decisions that turn with the group: {_ASKED_OF.get(str(source), str(source))}{some}. "
        title += f"Positive: {shown['positive'][0]}."
        yield chart_figure(title, counterfactual_effects(shown), told)


FIGURES: dict[str, tuple[Drawing, ...]] = {
    "fairness.groups": (
        Drawing("by_group", columns("attribute group metric value low high n"), "Groups", _by_group),
    ),
    "fairness.counterfactual": (
        Drawing(
            "flips",
            columns("source attribute from to positive n flips flip_rate effect low high p_adjusted"),
            "Counterfactual tests",
            _effects,
        ),
    ),
}
