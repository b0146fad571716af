"""Accuracy under attack against eps, queries and misspelling; certified accuracy against the radius."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from raiaudit.reports.charts.style import AnyChart, curve, inline, percent_axis, styled
from raiaudit.reports.theme import MUTED

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "accuracy_against_eps",
    "accuracy_against_noise",
    "accuracy_against_queries",
    "certified_accuracy_against_radius",
]

_UNIT = alt.Scale(domain=[0, 1])
_NORMS = {"linf": "L∞", "l2": "L2", "l1": "L1", "l0": "L0"}
_SPATIAL = "Rotation and shift (1 = 30° and a tenth of the side)"


def accuracy_against_eps(
    table: pl.DataFrame,
    *,
    norm: str = "",
    of: str = "input units",
    threshold: tuple[float, float] | None = None,
    by: str = "attack",
    points: bool = True,
) -> AnyChart:
    """`table`: eps, robust_accuracy, low, high, and `by`, which tells the lines apart.

    `of` says what ε is measured in, `threshold` is a gate's (ε, minimum accuracy). Without `points`, a curve
    that was measured everywhere.
    """
    named = _NORMS.get(norm, norm)
    title = f"Perturbation budget ε ({named} norm, {of})" if named else "Perturbation budget ε"
    title = _SPATIAL if norm == "spatial" else title
    lines = curve(
        table.sort(by, "eps"),
        x=alt.X("eps:Q", axis=alt.Axis(title=title, grid=False, tickCount=5)),
        y=alt.Y("robust_accuracy:Q", scale=_UNIT, axis=percent_axis("Robust accuracy")),
        by=by,
        points=points,
        tooltip=(f"{by}:N", "eps:Q", "robust_accuracy:Q", "low:Q", "high:Q"),
    )
    if threshold is None:
        return styled(lines)
    gate = alt.Chart(inline([{"eps": threshold[0], "minimum": threshold[1]}])).encode(
        x=alt.X("eps:Q"), y=alt.Y("minimum:Q", scale=_UNIT)
    )
    tick = gate.mark_tick(color=MUTED, thickness=2, size=26, orient="horizontal")
    return styled(alt.layer(lines, tick, gate.mark_text(dy=-7).encode(text=alt.TextValue("gate"))))


def accuracy_against_noise(table: pl.DataFrame) -> AnyChart:
    """`table`: noise, misspelt (share of words, 0…1), accuracy, low, high."""
    return styled(
        curve(
            table.sort("noise", "misspelt"),
            x=alt.X("misspelt:Q", scale=_UNIT, axis=percent_axis("Words misspelt (mean share)", grid=False)),
            y=alt.Y("accuracy:Q", scale=_UNIT, axis=percent_axis("Accuracy")),
            by="noise",
            tooltip=("noise:N", "misspelt:Q", "accuracy:Q", "low:Q", "high:Q"),
        )
    )


def accuracy_against_queries(table: pl.DataFrame) -> AnyChart:
    """`table`: attack (which tells the lines apart), queries (at least 1), robust_accuracy, low, high."""
    return styled(
        curve(
            table.sort("attack", "queries"),
            x=alt.X(
                "queries:Q",
                scale=alt.Scale(type="log"),
                axis=alt.Axis(title="Queries per example", grid=False, tickCount=5, format="~s"),
            ),
            y=alt.Y("robust_accuracy:Q", scale=_UNIT, axis=percent_axis("Robust accuracy")),
            by="attack",
            points=False,
        )
    )


def certified_accuracy_against_radius(table: pl.DataFrame, *, norm: str = "") -> AnyChart:
    """`table`: radius, certified_accuracy, low, high, certificate (which tells the lines apart)."""
    named = _NORMS.get(norm, norm)
    title = f"Certified radius ({named} norm, input units)" if named else "Certified radius"
    return styled(
        curve(
            table.sort("certificate", "radius"),
            x=alt.X("radius:Q", axis=alt.Axis(title=title, grid=False, tickCount=5)),
            y=alt.Y("certified_accuracy:Q", scale=_UNIT, axis=percent_axis("Certified accuracy")),
            by="certificate",
            points=False,
        )
    )
