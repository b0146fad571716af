"""Fairness: every metric of a group with its interval; subgroups that fare worse than everyone else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.reports.figures.drawing import Drawing, chart_figure, columns
from raiaudit.reports.words.wording import in_percent, metric_title

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from raiaudit.audit.results import Results
    from raiaudit.reports.figures.drawing import Figure

__all__ = ["FIGURES"]

_GROUP_CHARTS = 2
_GAP_METRICS = 4
_MOST_LINES = 30
_FIRST_GAPS = ("true_positive_rate", "false_positive_rate", "selection_rate", "accuracy")
_RATES_OF = {
    "demographic_parity_difference": ("selection_rate",),
    "impact_ratio": ("selection_rate",),
    "equal_opportunity_difference": ("true_positive_rate",),
    "equalized_odds_difference": ("true_positive_rate", "false_positive_rate"),
    "equalized_odds_ratio": ("true_positive_rate", "false_positive_rate"),
    "predictive_parity_difference": ("positive_predictive_value",),
    "treatment_equality_difference": ("false_negative_share",),
    "accuracy_difference": ("accuracy",),
    "auc_difference": ("auc",),
    "calibration_bias_difference": ("calibration_bias",),
}
"""Which rates of groups stand behind a metric that a gate may name."""

_SUBGROUP_CHARTS = 4
_FINDINGS = 6
_PARTS = 2
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
        left = max(0, rows.height - _MOST_LINES)
        rows = rows.filter(pl.col("n").rank("ordinal", descending=True) <= _MOST_LINES)
        shown = [
            f"{row['attribute']} {row['group']}: "
            + ("not defined" if row["value"] is None else f"{row['value']:.3g}")
            for row in rows.iter_rows(named=True)
        ]
        title = metric_title(metric) + (f" ({chosen})" if chosen else "")
        chart = group_intervals(rows, title=title, percent=in_percent(metric))
        more = f" {left} smaller groups are in the table." if left else ""
        yield chart_figure(f"{title} by group, with interval.{more}", chart, "; ".join(shown))


def _gaps(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    """Gaps to the reference in the metrics that are judged, then in those people ask for first."""
    import polars as pl

    from raiaudit.reports.charts import group_gaps

    gated = {v.gate.metric for v in results.verdicts if v.check == "fairness.groups" and v.gate is not None}
    asked = [rate for difference, rates in _RATES_OF.items() if difference in gated for rate in rates]
    known = table.filter(pl.col("slice") == "")["metric"].unique(maintain_order=True).to_list()
    chosen = [f"{rate}_gap" for rate in dict.fromkeys([*asked, *_FIRST_GAPS]) if f"{rate}_gap" in known]
    for metric in chosen[:_GAP_METRICS]:
        rows = table.filter(metric=metric, slice="")
        left = max(0, rows.height - _MOST_LINES)
        rows = rows.filter(pl.col("value").abs().rank("ordinal", descending=True) <= _MOST_LINES)
        percent, name = in_percent(metric), metric_title(metric.removesuffix("_gap"))
        words = [
            f"{row['attribute']} {row['group']} less {row['reference']}: {_signed(row['value'], percent)} "
            f"[{_signed(row['low'], percent)}, {_signed(row['high'], percent)}]"
            for row in rows.iter_rows(named=True)
        ]
        more = f" {left} narrower gaps are in the table." if left else ""
        largest = rows.select("attribute", "reference").unique(maintain_order=True).iter_rows()
        references = ", ".join(f"{attribute}: {reference}" for attribute, reference in largest)
        caption = (
            f"{name}: gap of each group to the largest ({references}); the intervals of a group column hold "
            f"together. Hollow: there may be no gap.{more}"
        )
        chart = group_gaps(rows, title=f"{name}, gap", percent=percent)
        yield chart_figure(caption, chart, "; ".join(words))


def _signed(gap: float, percent: bool) -> str:
    return f"{100 * gap:+.1f}" if percent else f"{gap:+.3f}"


def _group_metrics(table: pl.DataFrame, results: Results) -> list[str]:
    """Those with a gate, then the ones people ask for first."""
    known = table["metric"].unique(maintain_order=True).to_list()
    gated = [v.gate.metric for v in results.verdicts if v.check == "fairness.groups" and v.gate is not None]
    order = dict.fromkeys([*gated, *_FIRST_METRICS, *known])
    return [metric for metric in order if metric in known][:_GROUP_CHARTS]


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
            "Gaps to the reference",
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
