"""Thresholds: what another threshold, or one a group, would have done to these people."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import polars as pl
import streamlit as st

from raiaudit.dashboard.fairness.saying import UNDEFINED, share
from raiaudit.dashboard.fairness.source import PROFILES
from raiaudit.dashboard.figures import draw_chart
from raiaudit.dashboard.wording import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from raiaudit.dashboard.fairness.source import Source

__all__ = ["show"]

_GROUPS = 6  # with a slider of their own
_LISTED = 12
_FEWEST = 30
_PARTS = ("tp", "fp", "fn", "tn")


class Outcome(NamedTuple):
    """Of one group at one threshold."""

    tp: int
    fp: int
    fn: int
    tn: int


class _Rate(NamedTuple):
    name: str
    of: Callable[[Outcome], tuple[int, int]]


RATES = (
    _Rate("Selection rate", lambda o: (o.tp + o.fp, sum(o))),
    _Rate("TPR", lambda o: (o.tp, o.tp + o.fn)),
    _Rate("FPR", lambda o: (o.fp, o.fp + o.tn)),
    _Rate("PPV", lambda o: (o.tp, o.tp + o.fp)),
    _Rate("Accuracy", lambda o: (o.tp + o.tn, sum(o))),
)
_CURVES = {
    "selection": "Selection rate",
    "tpr": "True-positive rate",
    "fpr": "False-positive rate",
}


def show(source: Source, attribute: str | None) -> None:
    """Draw the section for one group column."""
    table = source.table(PROFILES, "thresholds")
    if table is None or attribute is None:
        source.say_missing(PROFILES, "No scores, no labels or no positive class: no thresholds to try.")
        return
    mine = table.filter(attribute=attribute)
    if mine.is_empty():
        st.info(f"The thresholds of {plain(attribute)} were not counted.")
        return
    st.warning(
        "**Exploration, not evidence.** A threshold chosen here was chosen on the audited people: its "
        "numbers flatter it. Choose on other data (`raiaudit mitigate` does), then audit the result.",
        icon=":material/science:",
    )
    lines, audited = mine.filter(~pl.col("audited")), mine.filter(pl.col("audited"))
    sizes = audited.with_columns(n=pl.sum_horizontal(*_PARTS)).sort("n", "group", descending=[True, False])
    groups = sizes["group"].to_list()
    grid = lines["threshold"].unique().sort().to_list()
    at = _chosen(groups, _nearest(grid, float(audited["threshold"][0])), len(grid) - 1)
    points = _points(lines, grid, groups, at)
    low, high = source.score_range()
    _rates(points, audited, groups, [_threshold(grid[step], low, high) for step in at])
    _curves(lines, points)


def _nearest(grid: list[float], threshold: float) -> int:
    return min(range(len(grid)), key=lambda step: abs(grid[step] - threshold))


def _chosen(groups: list[str], start: int, last: int) -> list[int]:
    """A step of the grid for each group."""
    shared = st.slider(
        "Threshold for everyone",
        0.0,
        1.0,
        start / last,
        1 / last,
        format="%.3f",
        key="threshold",
        bind="query-params",
        help="On the score, scaled to [0, 1]. Whoever scores as much or more is predicted positive.",
    )
    steps = [round(shared * last)] * len(groups)
    own = st.toggle("A threshold for each group", key="own", bind="query-params")
    if own:
        columns = st.columns(min(3, len(groups)))
        for place, group in enumerate(groups[:_GROUPS]):
            with columns[place % len(columns)]:
                value = st.slider(
                    plain(group),
                    0.0,
                    1.0,
                    shared,
                    1 / last,
                    format="%.3f",
                    key=f"t{place}",
                    bind="query-params",
                )
            steps[place] = round(value * last)
        if len(groups) > _GROUPS:
            st.caption(f"The {len(groups) - _GROUPS} smaller groups keep the threshold for everyone.")
        st.caption(
            "People of equal score are then treated differently because of their group. Whether that is "
            "allowed is a question of law; in some uses it is not."
        )
    return steps


def _threshold(scaled: float, low: float, high: float) -> str:
    """With its place in the range that the file's scores have, if that is another one."""
    own = f" (score {low + scaled * (high - low):.3g})" if (low, high) != (0.0, 1.0) else ""
    return f"{scaled:.3f}{own}"


def _points(lines: pl.DataFrame, grid: list[float], groups: list[str], at: list[int]) -> pl.DataFrame:
    """The row of each group at its threshold."""
    wanted = pl.DataFrame(
        {"group": groups, "threshold": [grid[step] for step in at]},
        schema={"group": pl.String, "threshold": pl.Float64},
    )
    return wanted.join(lines, on=["group", "threshold"], how="inner", maintain_order="left")


def _outcomes(points: pl.DataFrame) -> dict[str, Outcome]:
    return {group: Outcome(*counts) for group, *counts in points.select("group", *_PARTS).iter_rows()}


def _rates(points: pl.DataFrame, audited: pl.DataFrame, groups: list[str], at: list[str]) -> None:
    now, before = _outcomes(points), _outcomes(audited)
    rows = [
        {
            "Group": plain(group),
            "Threshold": threshold,
            "n": f"{sum(now[group]):,}",
            **{rate.name: plain(share(*rate.of(now[group]))) for rate in RATES},
        }
        for group, threshold in list(zip(groups, at, strict=True))[:_LISTED]
    ]
    everyone = Outcome(*(sum(counts) for counts in zip(*now.values(), strict=True)))
    foot = {"Threshold": "", "n": f"{sum(everyone):,}"}
    rows.append({"Group": "**Everyone**", **foot, **{r.name: plain(share(*r.of(everyone))) for r in RATES}})
    for label, outcomes in (("**Widest gap here**", now), ("Widest gap as audited", before)):
        rows.append({"Group": label, "Threshold": "", "n": "", **{r.name: _gap(r, outcomes) for r in RATES}})
    st.table(
        rows,
        border="horizontal",
        hide_index=True,
        alt="Rates of each group at the chosen thresholds, and the widest gaps beside those as audited",
    )
    more = f" The {_LISTED} largest of {len(groups)} groups are listed." if len(groups) > _LISTED else ""
    st.caption(
        f"Gaps in percentage points, between groups with {_FEWEST} people or more of whom the rate is. "
        f"{UNDEFINED}: nobody meets the condition.{more}"
    )


def _gap(rate: _Rate, outcomes: dict[str, Outcome]) -> str:
    """Widest of the groups that have people enough."""
    parts = [rate.of(outcome) for outcome in outcomes.values()]
    shares = [part / whole for part, whole in parts if whole >= _FEWEST]
    return f"{100 * (max(shares) - min(shares)):.1f}" if len(shares) > 1 else UNDEFINED


def _curves(lines: pl.DataFrame, points: pl.DataFrame) -> None:
    from raiaudit.reports.charts import rates_by_threshold

    rates = {rate.name: rate for rate in RATES}
    short = {"selection": "Selection rate", "tpr": "TPR", "fpr": "FPR"}
    for place, (name, words) in zip(st.columns(len(_CURVES), gap="medium"), _CURVES.items(), strict=True):
        told = "; ".join(
            f"{group}: {share(*rates[short[name]].of(outcome))}"
            for group, outcome in _outcomes(points).items()
        )
        with place:
            draw_chart(
                rates_by_threshold(lines, points, name),
                f"{words} by threshold, a line a group. At the thresholds chosen: {told}.",
            )
            st.caption(f"{words} by threshold; dots: the thresholds chosen. The largest groups.")
