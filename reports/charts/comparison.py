"""A comparison drawn: every paired difference with its interval (a forest plot), right of the line is better.

Quantities in which lower is better are turned around. Filled dots: the corrected test speaks; hollow: it does
not. Only fractions share an axis; what has another unit is in the tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from raiaudit.reports.charts.style import AnyChart, inline, series, styled, tooltips
from raiaudit.reports.charts.tradeoff import no_legend
from raiaudit.reports.theme import FAINT
from raiaudit.reports.words.comparison_words import names, quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raiaudit.audit.comparison.results import Comparison, Delta

__all__ = ["forest", "forest_text", "left_out"]

_ROW = 12  # pixels a run
_GAP = 8
_LONGEST = 90  # characters of a name
_FRAME = 64
TALLEST = 470  # on a page in print
_TITLE = "better by, in percentage points (left of the line: worse)"


def forest(
    comparison: Comparison,
    deltas: Sequence[Delta],
    *,
    clean: Callable[[str], str] = str,
    width: int = 620,
    tallest: int = TALLEST,
) -> AnyChart | None:
    """The first quantities of `deltas` that are fractions, a line each, a dot a run; None without any.

    As many as `tallest` pixels hold. `clean` makes names fit for where the chart goes.
    """
    rows = _rows(comparison, deltas, clean, tallest)
    if not rows:
        return None
    called = [clean(_short(name)) for name in names(comparison)[1:]]
    order = list(dict.fromkeys(str(row["quantity"]) for row in rows))
    look = series("run", called)
    y = alt.Y(
        "quantity:N",
        sort=order,
        axis=alt.Axis(title=None, labelLimit=330, ticks=False, domain=False, grid=True),
        scale=alt.Scale(paddingInner=0.25),
    )
    base = alt.Chart(inline(rows)).encode(
        y=y, yOffset=alt.YOffset("run:N", sort=called, scale=alt.Scale(paddingOuter=0.4))
    )
    x = alt.X("points:Q", scale=alt.Scale(nice=True), axis=alt.Axis(title=_TITLE, tickCount=7))
    zero = alt.Chart(inline([{"points": 0}])).mark_rule(color=FAINT, strokeWidth=1.2).encode(x=x)
    spans = base.mark_rule(strokeWidth=1.6).encode(
        x=alt.X("low:Q"), x2=alt.X2("high:Q"), color=no_legend(look)
    )
    tooltip = tooltips("run:N", "quantity:N", "points:Q", "low:Q", "high:Q", "finding:N")
    dots = base.mark_point(size=54, opacity=1, strokeWidth=1.6).encode(
        x=x,
        color=look["color"],
        shape=look["shape"],
        fill=alt.condition("datum.decided", no_legend(look), alt.value("white")),
        tooltip=tooltip,
    )
    whole = alt.layer(zero, spans, dots).resolve_legend(color="independent", shape="independent")
    height = _FRAME + len(order) * (_ROW * len(called) + _GAP)
    return styled(whole, width=width, height=height)


def forest_text(comparison: Comparison, deltas: Sequence[Delta]) -> str:
    """What the chart shows, for those who cannot see it."""
    told = "; ".join(
        f"{row['run']}, {row['quantity']}: {row['points']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}], "
        f"{row['finding']}"
        for row in _rows(comparison, deltas, str, TALLEST)
    )
    reference = comparison.runs[0].name
    return f"Forest plot. Difference to {reference} in percentage points, positive is better. {told}"


def left_out(comparison: Comparison, deltas: Sequence[Delta]) -> str:
    """ " Drawn are the first 10 of 12; …", for the caption; empty where the chart in print shows all."""
    drawn = _drawable(deltas)
    every, shown = {(each.quantity, each.group) for each in drawn}, _shown(comparison, drawn, TALLEST)
    if len(shown) == len(every):
        return ""
    return f" Drawn are the first {len(shown)} of {len(every)}; the tables have all."


def _drawable(deltas: Sequence[Delta]) -> list[Delta]:
    return [each for each in deltas if not each.unit and each.low is not None and each.high is not None]


def _shown(comparison: Comparison, drawn: Sequence[Delta], tallest: int) -> Sequence[tuple[object, object]]:
    most = max(3, (tallest - _FRAME) // (_ROW * (len(comparison.runs) - 1) + _GAP))
    return list(dict.fromkeys((each.quantity, each.group) for each in drawn))[:most]


def _short(text: str) -> str:
    """Very long text ends the process that draws it, and control characters mean nothing to it."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text[: _LONGEST + 1])
    return shown if len(text) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _rows(
    comparison: Comparison, deltas: Sequence[Delta], clean: Callable[[str], str], tallest: int
) -> list[dict[str, object]]:
    called = [clean(_short(name)) for name in names(comparison)]
    drawn = _drawable(deltas)
    shown = _shown(comparison, drawn, tallest)
    found: list[dict[str, object]] = []
    for each in drawn:
        if (each.quantity, each.group) not in shown:
            continue
        assert each.low is not None
        assert each.high is not None
        turn = 1 if each.better == "higher" else -1
        limits = sorted((turn * 100 * each.low, turn * 100 * each.high))
        title = quantity(each) if each.group is None else f"{' = '.join(each.group)}: {quantity(each)}"
        found.append(
            {
                "quantity": clean(_short(title)),
                "run": called[each.run],
                "points": turn * 100 * each.difference,
                "low": limits[0],
                "high": limits[1],
                "finding": each.outcome,
                "decided": each.outcome in ("better", "worse"),
            }
        )
    return found
