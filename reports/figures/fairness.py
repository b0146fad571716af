"""Fairness: every metric of a group with its interval; subgroups that fare worse than everyone else."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from raiaudit.reports.figures.drawing import Drawing, chart_figure, columns
from raiaudit.reports.figures.group_sheets import COMPLEMENTS
from raiaudit.reports.wording import in_percent, metric_title

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from raiaudit.audit.results import Results
    from raiaudit.reports.figures.drawing import Figure

__all__ = ["FIGURES"]

_GROUP_CHARTS = 2
_GROUPS_SHOWN = 20
_GAP_CHARTS = 4
_GAP_METRICS = 6
_GAP_GROUPS = 6
_SUBGROUP_CHARTS = 4
_FINDINGS = 6
_PARTS = 2
_UNDRAWN = COMPLEMENTS | {"false_negative_share", "average_odds", "balanced_accuracy"}
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
        few = rows.with_row_index().top_k(_GROUPS_SHOWN, by="n").sort("index").drop("index")
        left = f" The {_GROUPS_SHOWN} largest of {rows.height:,}." if rows.height > few.height else ""
        rows = few
        shown = [
            f"{row['attribute']} {row['group']}: "
            + ("not defined" if row["value"] is None else f"{row['value']:.3g}")
            for row in rows.iter_rows(named=True)
        ]
        title = metric_title(metric) + (f" ({chosen})" if chosen else "")
        chart = group_intervals(rows, title=title, percent=in_percent(metric))
        yield chart_figure(f"{title} by group, with interval.{left}", chart, "; ".join(shown))


def _group_metrics(table: pl.DataFrame, results: Results) -> list[str]:
    """Those with a gate, then the ones people ask for first."""
    known = table["metric"].unique(maintain_order=True).to_list()
    gated = [v.gate.metric for v in results.verdicts if v.check == "fairness.groups" and v.gate is not None]
    order = dict.fromkeys([*gated, *_FIRST_METRICS, *known])
    return [metric for metric in order if metric in known][:_GROUP_CHARTS]


def _gaps(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    """A forest a group column: the largest groups against the reference, in the rates people ask for."""
    import polars as pl

    from raiaudit.reports.charts import gaps_by_metric

    for (attribute,), rows in islice(table.group_by("attribute", maintain_order=True), _GAP_CHARTS):
        names = [name.removesuffix("_gap") for name in rows["metric"].unique(maintain_order=True)]
        rates = [name for name in names if in_percent(name) and name not in _UNDRAWN][:_GAP_METRICS]
        sizes = rows.group_by("group").agg(pl.col("n").max()).sort("n", "group", descending=[True, False])
        groups = sizes["group"].head(_GAP_GROUPS).to_list()
        # Of several threats or attacks the strongest, as in the other charts.
        shown = (
            rows.filter(pl.col("group").is_in(groups))
            .with_columns(pl.col("metric").str.strip_suffix("_gap"))
            .filter(pl.col("metric").is_in(rates))
            .filter(pl.col("slice") == pl.col("slice").max().over("metric"))
        )
        if shown.is_empty():
            continue
        told = "; ".join(
            f"{metric_title(row['metric'])}, {row['group']}: {100 * row['value']:+.1f} points "
            f"({100 * row['low']:+.1f} to {100 * row['high']:+.1f})"
            for row in shown.iter_rows(named=True)
        )
        titled = shown.with_columns(pl.col("metric").map_elements(metric_title, return_dtype=pl.String))
        some = f" The {_GAP_GROUPS} largest of {sizes.height} groups." if sizes.height > _GAP_GROUPS else ""
        caption = (
            f"Gaps by {attribute}: each group less {rows['reference'][0]}, with intervals that hold "
            f"together; dashed: no gap.{some}"
        )
        yield chart_figure(caption, gaps_by_metric(titled), told)


def _subgroups(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    """Of the metrics with most findings, the findings and under each the strongest of what it explains."""
    from raiaudit.reports.charts import subgroup_gaps

    for metric in _metrics_found(table, results):
        rows = table.filter(metric=metric)
        shown = _with_their_parts(rows)
        words = [
            f"{row['subgroup']}: {100 * row['gap']:+.1f} points, {row['status']}"
            + (f" by {row['explained_by']}" if row["explained_by"] else "")
            for row in shown.iter_rows(named=True)
        ]
        number = rows.filter(status="explained").height - shown.filter(status="explained").height
        more = f" {number} more explained subgroups are in the table." if number else ""
        title = metric_title(metric)
        caption = f"{title}: the gap of subgroups to everyone else, with interval.{more}"
        yield chart_figure(
            caption, subgroup_gaps(shown, title=f"{title}, gap to everyone else"), "; ".join(words)
        )


def _metrics_found(table: pl.DataFrame, results: Results) -> list[str]:
    """Those with a gate and a finding, then by the number of confirmed findings, then of suspected ones."""
    gated = [v.gate.where.get("rate") for v in results.verdicts if v.check == "fairness.subgroups" and v.gate]
    found = {status: table.filter(status=status)["metric"].to_list() for status in ("confirmed", "suspected")}
    metrics = sorted(
        {*found["confirmed"], *found["suspected"]},
        key=lambda m: (m not in gated, -found["confirmed"].count(m), -found["suspected"].count(m), m),
    )
    return metrics[:_SUBGROUP_CHARTS]


def _with_their_parts(rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    findings = rows.filter(pl.col("status").is_in(["confirmed", "suspected"])).head(_FINDINGS)
    parts = [
        rows.filter(status="explained", explained_by=name).sort("q", maintain_order=True).head(_PARTS)
        for name in findings["subgroup"]
    ]
    order = [frame for i, part in enumerate(parts) for frame in (findings[i : i + 1], part)]
    return pl.concat(order).filter(pl.col("gap").is_not_null())


FIGURES: dict[str, tuple[Drawing, ...]] = {
    "fairness.groups": (
        Drawing("by_group", columns("attribute group metric value low high n"), "Groups", _by_group),
        Drawing(
            "gaps",
            columns("attribute group reference metric slice value low high n"),
            "Gaps",
            _gaps,
            optional=True,
        ),
    ),
    "fairness.subgroups": (
        Drawing(
            "lattice",
            columns("subgroup metric gap gap_low gap_high n q status explained_by"),
            "Subgroups",
            _subgroups,
            optional=True,
        ),
    ),
}
