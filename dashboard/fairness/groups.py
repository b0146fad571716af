"""Groups: every metric of every group, and the gaps to the reference as a forest with a tolerance band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import streamlit as st

from raiaudit.dashboard.fairness.saying import UNDEFINED, download, gap_text, p_text, span, title, worded
from raiaudit.dashboard.fairness.source import GROUPS
from raiaudit.dashboard.figures import draw_chart
from raiaudit.dashboard.wording import plain
from raiaudit.reports.figures.group_sheets import COMPLEMENTS
from raiaudit.reports.words.metric_words import explained
from raiaudit.reports.words.wording import in_percent, metric_title

if TYPE_CHECKING:
    from raiaudit.dashboard.fairness.source import Source

__all__ = ["reading", "show"]

_COLUMNS = 7  # groups side by side
_FOREST = 30
_FIRST = "selection_rate_gap"
_STAR = "\u00a0\\*"
_READ = {
    "outside": ("✗ outside", "the whole interval lies beyond it"),
    "undecided": ("◐ undecided", "the interval reaches over the edge"),
    "inside": ("✓ inside", "the whole interval lies within it"),
}


def show(source: Source, attribute: str | None) -> None:
    """Draw the section for one group column."""
    table = source.table(GROUPS, "by_group")
    if table is None or attribute is None:
        source.say_missing(GROUPS)
        return
    if "slice" not in table.columns:
        table = table.with_columns(slice=pl.lit(""), note=pl.lit(None, pl.String))
    gaps = source.table(GROUPS, "gaps")
    mine = table.filter(attribute=attribute)
    if mine.is_empty():
        st.info(f"{plain(GROUPS)} did not look at {plain(attribute)}.")
        return
    mine_gaps = None if gaps is None else gaps.filter(attribute=attribute)
    reference = None if mine_gaps is None or mine_gaps.is_empty() else str(mine_gaps["reference"][0])
    _values(source, mine, reference)
    _forest(source, mine_gaps, reference)


def _values(source: Source, table: pl.DataFrame, reference: str | None) -> None:
    st.subheader("What each group gets", anchor=False)
    sizes = table.group_by("group").agg(pl.col("n").max()).sort("n", "group", descending=[True, False])
    groups = [str(group) for group in sizes["group"]]
    if reference in groups:
        groups.sort(key=lambda group: group != reference)
    shown = groups
    if len(groups) > _COLUMNS:
        find = st.text_input(
            "Find groups", key="find", bind="query-params", placeholder="a part of the name", width=320
        )
        shown = [group for group in groups if find.casefold() in group.casefold()]
    every = st.toggle(
        "Also the complements (TNR, FNR, FDR, FOR)",
        key="complements",
        bind="query-params",
        help="Each is 1 less another: FNR = 1 − TPR, TNR = 1 − FPR, FDR = 1 − PPV, FOR = 1 − NPV.",
    )
    total, shown = len(shown), shown[:_COLUMNS]
    if not shown:
        st.info("No group has this in its name.")
        return
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in table.filter(pl.col("group").is_in(shown)).iter_rows(named=True):
        if every or row["metric"] not in COMPLEMENTS:
            cells.setdefault((row["metric"], row["slice"]), {})[row["group"]] = _cell(row)
    st.table(
        [
            {"Metric": plain(title(*key))} | {_head(g, reference): of.get(g, UNDEFINED) for g in shown}
            for key, of in cells.items()
        ],
        border="horizontal",
        hide_index=True,
        alt="Each metric of each group, with its interval and the number of people it is of",
    )
    more = f" {len(shown)} of {total:,} groups, the largest first." if total > len(shown) else ""
    st.caption(
        f"In brackets: {source.confidence(GROUPS):.0%} intervals, each group by itself. "
        f"n: the people a rate is of (a true positive rate: those labelled positive). \\*: not "
        f"compared, for these are too few, or the group was not recorded.{more}"
    )
    with st.expander("What each metric says, and does not say", icon=":material/menu_book:"):
        metrics = dict.fromkeys(metric for metric, _ in cells)
        st.markdown(
            "\n".join(f"- **{plain(title(m))}**: {plain(explained(m))}" for m in metrics if explained(m))
        )
    download(table, "groups", key="csv-groups", label="All metrics and groups as CSV")


def _head(group: str, reference: str | None) -> str:
    return f"{plain(group)} (reference)" if group == reference else plain(group)


def _cell(row: dict[str, Any]) -> str:
    metric, value = row["metric"], row["value"]
    n = f":gray[n\u00a0=\u00a0{row['n']:,}{_STAR if row['note'] and value is not None else ''}]"
    if value is None:
        return f":gray[not defined: {plain(row['note'] or 'no reason was recorded')}]  \n{n}"
    interval = plain(span(metric, row["low"], row["high"]))
    return f"**{plain(worded(metric, value))}**  \n{interval}  \n{n}"


def reading(low: float, high: float, tolerance: float) -> str:
    """Where a gap lies, by its whole interval: inside the tolerance, outside it, or undecided."""
    if -tolerance <= low and high <= tolerance:
        return "inside"
    return "outside" if low > tolerance or high < -tolerance else "undecided"


def _forest(source: Source, gaps: pl.DataFrame | None, reference: str | None) -> None:
    from raiaudit.reports.charts import gap_forest

    st.subheader("Gaps to the reference", anchor=False)
    if gaps is None or reference is None:
        st.info("No gap: fewer than two groups have people enough to be compared.", icon=":material/block:")
        return
    keys = list(dict.fromkeys(gaps.select("metric", "slice").iter_rows()))
    labels = {title(*key): key for key in keys}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        first = [name for name, (metric, _) in labels.items() if metric == _FIRST]
        chosen = st.selectbox(
            "Metric",
            [*first, *(name for name in labels if name not in first)],
            key="metric",
            bind="query-params",
            width=340,
        )
        banded = st.toggle("Tolerance band", key="band", bind="query-params", value=True)
        tolerance = 0.01 * st.slider(
            "Tolerance, in points" if in_percent(labels[chosen][0]) else "Tolerance, in hundredths",
            min_value=1,
            max_value=50,
            value=_asked_tolerance(source),
            key="tolerance",
            bind="query-params",
            disabled=not banded,
            width=300,
        )
    metric, slice_ = labels[chosen]
    rows = gaps.filter(metric=metric, slice=slice_)
    read = [reading(low, high, tolerance) for low, high in rows.select("low", "high").iter_rows()]
    nearest = pl.max_horizontal(pl.lit(0.0), "low", -pl.col("high"))
    rows = (
        rows.with_columns(reading=pl.Series(read, dtype=pl.String), sure=nearest)
        .sort("sure", pl.col("value").abs(), descending=True)
        .drop("sure")
    )
    shown = rows.head(_FOREST)
    name = metric_title(metric.removesuffix("_gap"))
    told = "; ".join(
        f"{group}: {gap_text(metric, value)} {span(metric, low, high)}"
        for group, value, low, high in shown.select("group", "value", "low", "high").iter_rows()
    )
    draw_chart(
        gap_forest(
            shown,
            title=f"{name}: gap to {reference}",
            tolerance=tolerance if banded else None,
            percent=in_percent(metric),
        ),
        f"Forest plot. {name}, each group less {reference}. {told}.",
    )
    if banded:
        st.markdown(_sentence(read, tolerance, metric))
    together = len(rows)
    intervals, corrected = "The interval of the gap holds", ""
    if together > 1:
        intervals = f"The intervals of the {together:,} gaps of a metric hold together"
        corrected = ", corrected for as many groups (Holm)"
    left = f" The {_FOREST} surest of {together:,} gaps are drawn." if together > _FOREST else ""
    st.caption(
        f"Each group less {plain(reference)}, the reference (the largest group). {intervals} "
        f"at {source.confidence(GROUPS):.0%}; p: exact test{corrected}.{left} Moving the tolerance is "
        "reading, no test: one chosen before the audit belongs in a gate."
    )
    _gap_table(shown, metric, banded=banded)
    download(gaps, "gaps", key="csv-gaps", label="All gaps as CSV")


def _asked_tolerance(source: Source) -> int:
    """The spec's, in points."""
    for outcome in source.results.checks:
        given = outcome.config.get("tolerance") if outcome.check == GROUPS else None
        if isinstance(given, float):
            return min(50, max(1, round(100 * given)))
    return 10


def _sentence(read: list[str], tolerance: float, metric: str) -> str:
    unit = f"±{100 * tolerance:.0f} points" if in_percent(metric) else f"±{tolerance:.2f}"
    parts = [
        f"**{read.count(state)} {word}** ({words})"
        for state, (word, words) in _READ.items()
        if read.count(state)
    ]
    return f"At a tolerance of {unit}: " + ", ".join(parts) + "."


def _gap_table(rows: pl.DataFrame, metric: str, *, banded: bool) -> None:
    tested = "p_value" in rows.columns
    st.table(
        [
            {
                "Group": plain(row["group"]),
                "Gap": f"**{plain(gap_text(metric, row['value']))}**",
                "Interval": plain(span(metric, row["low"], row["high"])),
                **({"p": plain(p_text(row["p_value"]))} if tested else {}),
                **({"Reading": _READ[row["reading"]][0]} if banded else {}),
            }
            for row in rows.iter_rows(named=True)
        ],
        border="horizontal",
        hide_index=True,
        alt="Gap of each group to the reference, with its simultaneous interval",
    )
