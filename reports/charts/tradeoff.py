"""A trade-off study drawn: what accuracy costs in privacy, and every share by variant.

`study` is a `Study`; a variant keeps its colour and shape in all charts. What no other variant beats in both
directions at once (the Pareto front, by point estimates) is ringed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from raiaudit.reports.charts.style import AnyChart, inline, percent_axis, series, styled, tooltips
from raiaudit.reports.theme import FAINT, MUTED
from raiaudit.reports.words.study_words import METRIC_TITLES, in_percent, metric_slice

if TYPE_CHECKING:
    from raiaudit.audit.studies.study import Study

__all__ = [
    "accuracy_against_budget",
    "accuracy_against_leakage",
    "axis_of",
    "beats",
    "no_legend",
    "shares_by_variant",
    "span",
]

_UTILITY = {"clean_accuracy": "clean", "robust_accuracy": "robust", "worst_group_accuracy": "worst group"}
_SHARES = ("clean_accuracy", "robust_accuracy", "worst_group_accuracy", "membership_auc", "membership_tpr")


def accuracy_against_leakage(
    study: Study, *, utility: str = "clean_accuracy", leakage: str = "membership_tpr"
) -> AnyChart | None:
    """Up is more accurate, left leaks less; None where the study lacks one of the two."""
    rows = [
        {
            "variant": row.variant,
            **span("y", row.cells[utility]),
            **span("x", row.cells[leakage]),
            "label": row.variant + _budget(row.cells["epsilon"].value),
        }
        for row in study.rows
        if row.cells[utility].value is not None and row.cells[leakage].value is not None
    ]
    if not rows:
        return None
    for row in rows:
        row["best"] = not any(beats(other, row) for other in rows)
    told = metric_slice(study, leakage)
    x = alt.X(
        "x:Q",
        scale=alt.Scale(zero=False, nice=True),
        axis=axis_of(
            leakage,
            " ".join([METRIC_TITLES[leakage], told.partition(" ")[2]])
            + (f" ({told.split()[0]})" if told else ""),
            tickCount=5,
            grid=True,
        ),
    )
    y = alt.Y(
        "y:Q", scale=alt.Scale(zero=False, nice=True), axis=percent_axis(METRIC_TITLES[utility], tickCount=5)
    )
    look = series("variant", [row.variant for row in study.rows])
    base = alt.Chart(inline(rows))
    across = base.mark_rule(strokeWidth=1.3, opacity=0.7).encode(
        x=alt.X("x_low:Q"), x2=alt.X2("x_high:Q"), y=y, color=no_legend(look)
    )
    along = base.mark_rule(strokeWidth=1.3, opacity=0.7).encode(
        x=x, y=alt.Y("y_low:Q"), y2=alt.Y2("y_high:Q"), color=no_legend(look)
    )
    tooltip = tooltips("label:N", "x:Q", "x_low:Q", "x_high:Q", "y:Q", "y_low:Q", "y_high:Q")
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=x, y=y, color=look["color"], shape=look["shape"], tooltip=tooltip
    )
    rings = base.transform_filter("datum.best").mark_point(
        filled=False, size=260, strokeWidth=1.2, color=MUTED, shape="circle"
    )
    whole = alt.layer(across, along, rings.encode(x=x, y=y), dots)
    return styled(whole.resolve_legend(color="independent", shape="independent"), height=280)


def accuracy_against_budget(study: Study) -> AnyChart | None:
    """Accuracies of the private variants over ε, and without a bound as a dashed line.

    None where no variant has an ε.
    """
    points, lines = [], []
    for row in study.rows:
        epsilon = row.cells["epsilon"].value
        robust = row.variant.startswith("adversarial")
        for metric, name in _UTILITY.items():
            cell = row.cells[metric]
            if cell.value is None or metric == "worst_group_accuracy":
                continue
            kind = f"{name} (adversarial)" if robust else name
            if epsilon is None:
                lines.append({"kind": kind, "y": cell.value})
            else:
                points.append({"kind": kind, "epsilon": epsilon, **span("y", cell), "variant": row.variant})
    if not points:
        return None
    look = series("kind", sorted({point["kind"] for point in points}))
    x = alt.X(
        "epsilon:Q",
        scale=alt.Scale(type="log", nice=False, padding=30),
        axis=alt.Axis(
            title="ε of the accountant (dashed: without privacy)",
            values=sorted({point["epsilon"] for point in points}),
            format=".2~f",
            grid=False,
        ),
    )
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, 1]), axis=percent_axis("Accuracy", tickCount=5))
    base = alt.Chart(inline(points))
    layers: list[Any] = [
        alt.Chart(inline(lines)).mark_rule(strokeDash=[5, 4], opacity=0.8).encode(y=y, color=no_legend(look)),
        base.mark_line().encode(x=x, y=y, color=no_legend(look), strokeDash=look["strokeDash"]),
        base.mark_rule().encode(x=x, y=alt.Y("y_low:Q"), y2=alt.Y2("y_high:Q"), color=no_legend(look)),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            x=x,
            y=y,
            color=look["color"],
            shape=look["shape"],
            tooltip=tooltips("variant:N", "kind:N", "epsilon:Q", "y:Q", "y_low:Q", "y_high:Q"),
        ),
    ]
    whole = alt.layer(*layers).resolve_legend(color="independent", shape="independent")
    return styled(whole, height=280)


def shares_by_variant(study: Study) -> AnyChart | None:
    """Every metric that is a share: a line a metric, a dot and its interval a variant."""
    variants = [row.variant for row in study.rows]
    rows, order = [], []
    for metric in _SHARES:
        cells = [(row.variant, row.cells[metric]) for row in study.rows]
        if all(cell.value is None for _, cell in cells):
            continue
        order.append(METRIC_TITLES[metric])
        rows += [
            {"metric": METRIC_TITLES[metric], "variant": variant, **span("x", cell)}
            for variant, cell in cells
            if cell.value is not None
        ]
    if not rows:
        return None
    look = series("variant", variants)
    base = alt.Chart(inline(rows)).encode(
        y=alt.Y("metric:N", sort=order, axis=alt.Axis(title=None, labelLimit=160, ticks=False, domain=False)),
        yOffset=alt.YOffset("variant:N", sort=variants, scale=alt.Scale(paddingOuter=0.6)),
    )
    x = alt.X("x:Q", scale=alt.Scale(domain=[0, 1]), axis=percent_axis("", tickCount=5))
    layers = [
        base.mark_rule(strokeWidth=1.5).encode(
            x=alt.X("x_low:Q", scale=x["scale"]), x2=alt.X2("x_high:Q"), color=no_legend(look)
        ),
        base.mark_point(filled=True, size=46, opacity=1).encode(
            x=x,
            color=look["color"],
            shape=look["shape"],
            tooltip=tooltips("metric:N", "variant:N", "x:Q", "x_low:Q", "x_high:Q"),
        ),
    ]
    if METRIC_TITLES["membership_auc"] in order:
        chance = alt.Chart(inline([{"metric": METRIC_TITLES["membership_auc"], "x": 0.5}])).mark_tick(
            color=FAINT, thickness=1.5, size=44
        )
        layers.insert(0, chance.encode(x=x, y=alt.Y("metric:N", sort=order)))
    whole = alt.layer(*layers).resolve_legend(color="independent", shape="independent")
    return styled(whole, height=70 + 58 * len(order))


def span(axis: str, cell: Any) -> dict[str, Any]:
    """The point and its interval, which is the point itself where there is none."""
    low = cell.value if cell.low is None else cell.low
    high = cell.value if cell.high is None else cell.high
    return {axis: cell.value, f"{axis}_low": low, f"{axis}_high": high}


def beats(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """At least as accurate, leaks at most as much, and better in one."""
    no_worse = one["y"] >= other["y"] and one["x"] <= other["x"]
    return no_worse and (one["y"], one["x"]) != (other["y"], other["x"])


def _budget(epsilon: float | None) -> str:
    return "" if epsilon is None else f" (ε ≤ {epsilon:.3g})"


def axis_of(metric: str, title: str, **options: Any) -> alt.Axis:
    """In percent where the metric is."""
    return percent_axis(title, **options) if in_percent(metric) else alt.Axis(title=title, **options)


def no_legend(look: dict[str, Any]) -> alt.Color:
    """The colours of `series` for a layer that another one explains."""
    colour = look["color"]
    return alt.Color(colour["shorthand"], scale=colour["scale"], legend=None)
