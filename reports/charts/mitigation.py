"""A mitigation study drawn: what accuracy a narrower gap costs, and each group before and after.

A variant that another one beats in accuracy and disparity (by point estimates) is drawn hollow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from raiaudit.reports.charts.style import AnyChart, inline, percent_axis, series, styled, tooltips
from raiaudit.reports.charts.tradeoff import axis_of, beats, no_legend, span
from raiaudit.reports.theme import FAINT
from raiaudit.reports.words.study_words import METRIC_TITLES
from raiaudit.reports.words.wording import metric_title

if TYPE_CHECKING:
    from raiaudit.audit.mitigation.study import MitigationStudy

__all__ = ["accuracy_against_disparity", "groups_by_variant"]


def accuracy_against_disparity(study: MitigationStudy) -> AnyChart | None:
    """Up is more accurate, left is less apart; None where the study lacks one of the two."""
    disparity, utility = study.disparity, "clean_accuracy"
    rows: list[dict[str, Any]] = [
        {
            "variant": row.variant,
            **span("y", row.cells[utility]),
            **span("x", row.cells[disparity]),
        }
        for row in study.rows
        if row.cells[utility].value is not None and row.cells[disparity].value is not None
    ]
    if not rows:
        return None
    for row in rows:
        row["dominated"] = any(beats(other, row) for other in rows)
    x = alt.X(
        "x:Q",
        scale=alt.Scale(zero=True, nice=True),
        axis=axis_of(disparity, METRIC_TITLES[disparity], tickCount=5, grid=True),
    )
    y = alt.Y(
        "y:Q", scale=alt.Scale(zero=False, nice=True), axis=percent_axis(METRIC_TITLES[utility], tickCount=5)
    )
    look = series("variant", [row.variant for row in study.rows], columns=2)
    base = alt.Chart(inline(rows))
    across = base.mark_rule(strokeWidth=1.3, opacity=0.6).encode(
        x=alt.X("x_low:Q"), x2=alt.X2("x_high:Q"), y=y, color=no_legend(look)
    )
    along = base.mark_rule(strokeWidth=1.3, opacity=0.6).encode(
        x=x, y=alt.Y("y_low:Q"), y2=alt.Y2("y_high:Q"), color=no_legend(look)
    )
    tooltip = tooltips("variant:N", "x:Q", "x_low:Q", "x_high:Q", "y:Q", "y_low:Q", "y_high:Q")
    dots = base.mark_point(size=80, opacity=1, strokeWidth=1.8).encode(
        x=x,
        y=y,
        color=look["color"],
        shape=look["shape"],
        fill=alt.condition("datum.dominated", alt.value("white"), no_legend(look)),
        tooltip=tooltip,
    )
    whole = alt.layer(across, along, dots)
    return styled(whole.resolve_legend(color="independent", shape="independent"), height=320)


def groups_by_variant(study: MitigationStudy, metric: str) -> AnyChart | None:
    """A line a variant from its lowest group to its highest, with a mark and an interval for each group.

    None where the study lacks the rate.
    """
    rows = [
        {"variant": row.variant, "group": group, **span("x", cell)}
        for row in study.rows
        for group, cell in row.groups.get(metric, {}).items()
    ]
    if not rows:
        return None
    look = series("group", sorted({str(row["group"]) for row in rows}))
    variants = [row.variant for row in study.rows]
    base = alt.Chart(inline(rows)).encode(
        y=alt.Y(
            "variant:N", sort=variants, axis=alt.Axis(title=None, labelLimit=150, ticks=False, domain=False)
        )
    )
    x = alt.X(
        "x:Q",
        scale=alt.Scale(zero=False, nice=True),
        axis=percent_axis(metric_title(metric), tickCount=5, grid=True),
    )
    layers = [
        base.mark_rule(color=FAINT, strokeWidth=1.2).encode(
            x=alt.X("min(x):Q", scale=x["scale"], axis=x["axis"]), x2=alt.X2("max(x):Q")
        ),
        base.mark_rule(strokeWidth=2.2).encode(
            x=alt.X("x_low:Q", scale=x["scale"], axis=x["axis"]),
            x2=alt.X2("x_high:Q"),
            color=no_legend(look),
        ),
        base.mark_point(filled=True, size=46, opacity=1).encode(
            x=x,
            color=look["color"],
            shape=look["shape"],
            tooltip=tooltips("variant:N", "group:N", "x:Q", "x_low:Q", "x_high:Q"),
        ),
    ]
    whole = alt.layer(*layers).resolve_legend(color="independent", shape="independent")
    return styled(whole, height=90 + 22 * len(variants))
