"""Subgroups: the lattice, from everyone down, level by level; and what the search found in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import streamlit as st

from raiaudit.dashboard.fairness.saying import UNDEFINED, download, gap_text, p_text, span, worded
from raiaudit.dashboard.fairness.source import SUBGROUPS
from raiaudit.dashboard.figures import draw_chart
from raiaudit.dashboard.wording import plain
from raiaudit.reports.words.wording import metric_title

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raiaudit.dashboard.fairness.source import Source

__all__ = ["show"]

STATUS = {
    "confirmed": "✗ confirmed",
    "suspected": "◐ suspected",
    "explained": "↑ explained",
    "clear": "✓ clear",
    "too_small": "○ too small",
}
_MEANS = (
    "**✗ confirmed**: worse in both halves of the people, beyond what other findings account for. "
    "**◐ suspected**: found in one half, not confirmed in the other. **↑ explained**: no longer so once "
    "another finding is accounted for. **✓ clear**: not shown to be worse, which is no proof of equality. "
    "**○ too small**: too few people to compare."
)
_WHOLE = "everyone"
_CHILDREN = 200
_FOREST = 12
_ORDER = ["confirmed", "suspected", "explained", "clear", "too_small"]


def show(source: Source) -> None:
    """Draw the section."""
    table = source.table(SUBGROUPS, "lattice")
    if table is None:
        source.say_missing(SUBGROUPS, _reason(source))
        return
    metrics = list(dict.fromkeys([*_found_in(table), *table["metric"]]))
    titles = {metric_title(metric): metric for metric in metrics}
    metric = titles[st.selectbox("Metric", list(titles), key="rate", bind="query-params", width=340)]
    rows = table.filter(metric=metric)
    _findings(source, rows, metric)
    _explorer(table, rows, metric)
    download(table, "lattice", key="csv-lattice", label="The whole table as CSV")


def _reason(source: Source) -> str:
    reasons = [m.reason for m in source.results.measurements if m.check == SUBGROUPS and m.value is None]
    return plain(reasons[0]) if reasons and reasons[0] else ""


def _found_in(table: pl.DataFrame) -> list[str]:
    """Metrics with confirmed findings, the one with most of them first."""
    found = table.filter(status="confirmed").group_by("metric", maintain_order=True).len()
    return found.sort("len", descending=True, maintain_order=True)["metric"].to_list()


def _findings(source: Source, rows: pl.DataFrame, metric: str) -> None:
    from raiaudit.reports.charts import subgroup_gaps

    st.subheader("Found", anchor=False)
    found = rows.filter(pl.col("status").is_in(["confirmed", "suspected"])).drop_nulls("gap")
    if found.is_empty():
        st.markdown("Nothing: no subgroup stood out in this metric. Silence is no proof of equality.")
        return
    shown = found.head(_FOREST)
    told = "; ".join(
        f"{row['subgroup']}: {gap_text(metric, row['gap'])}, {row['status']}"
        for row in shown.iter_rows(named=True)
    )
    name = metric_title(metric)
    draw_chart(
        subgroup_gaps(shown, title=f"{name}: gap to everyone else"),
        f"Forest plot of findings. {name}, gap to everyone else. {told}.",
    )
    more = f" The {_FOREST} with the strongest evidence of {found.height}." if found.height > _FOREST else ""
    st.caption(
        f"{name} of the subgroup less that of everyone else, among those who had no part in the search. The "
        f"chance that any of the confirmed is false is at most {1 - source.confidence(SUBGROUPS):.0%}.{more}"
    )


def _explorer(table: pl.DataFrame, rows: pl.DataFrame, metric: str) -> None:
    st.subheader("Explorer", anchor=False)
    st.markdown(_MEANS)
    attributes = [name.removeprefix("level.") for name in rows.columns if name.startswith("level.")]
    chosen: dict[str, str] = {}
    with st.container(horizontal=True):
        for place, attribute in enumerate(attributes):
            levels = table[f"level.{attribute}"].drop_nulls().unique().sort().to_list()
            level = st.selectbox(
                plain(attribute), [_WHOLE, *levels], key=f"level{place}", bind="query-params", width=220
            )
            if level != _WHOLE:
                chosen[attribute] = level
    _breadcrumb(attributes, chosen)
    _node(rows, attributes, chosen, metric)
    _children(rows, attributes, chosen, metric)


def _go(attributes: list[str], levels: Mapping[str, str | None]) -> None:
    """Put the explorer at this subgroup: the pickers, and with them the address."""
    for place, attribute in enumerate(attributes):
        st.session_state[f"level{place}"] = levels.get(attribute) or _WHOLE


def _breadcrumb(attributes: list[str], chosen: Mapping[str, str]) -> None:
    """From everyone to here, each step a button that goes back to it."""
    steps: list[dict[str, str]] = [{}]
    for attribute, level in chosen.items():
        steps.append({**steps[-1], attribute: level})
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        for place, step in enumerate(steps):
            last = list(step.items())[-1:]
            label = " = ".join(last[0]) if last else "Everyone"
            st.button(
                ("› " if place else "") + plain(label),
                key=f"crumb{place}",
                type="tertiary",
                disabled=place == len(steps) - 1,
                on_click=_go,
                args=(attributes, step),
            )


def _node(rows: pl.DataFrame, attributes: list[str], chosen: Mapping[str, str], metric: str) -> None:
    """What is known of the subgroup one stands at."""
    if not chosen:
        return
    here = _within(rows, chosen).filter(depth=len(chosen))
    if here.is_empty():
        st.markdown(
            "This subgroup is not listed: too few people, the same people as a shorter description, or, in a "
            "large lattice, weaker evidence than the rows kept."
        )
        return
    row = here.row(0, named=True)
    gap = f"{gap_text(metric, row['gap'])} {span(metric, row['gap_low'], row['gap_high'])}"
    st.markdown(
        f"**{plain(STATUS[row['status']])}** · {row['people']:,} people · "
        f"{plain(worded(metric, row['value']))} beside {plain(worded(metric, row['rest']))} of all others: "
        f"**{plain(gap)}** · q {_after(p_text(row['q']))}"
    )
    if row["explained_by"]:
        by = rows.filter(subgroup=row["explained_by"])
        levels = {a: by[f"level.{a}"][0] for a in attributes} if by.height else {}
        st.button(
            f"Explained by {plain(row['explained_by'])}",
            icon=":material/arrow_upward:",
            disabled=not levels,
            on_click=_go,
            args=(attributes, levels),
        )


def _after(text: str) -> str:
    """What follows the name of a p-value: "= 0.0123", "< 0.0001"."""
    return plain(text if text.startswith("<") else f"= {text}")


def _within(rows: pl.DataFrame, chosen: Mapping[str, str]) -> pl.DataFrame:
    return rows.filter(
        *(pl.col(f"level.{attribute}") == level for attribute, level in chosen.items()), pl.lit(True)
    )


def _children(rows: pl.DataFrame, attributes: list[str], chosen: Mapping[str, str], metric: str) -> None:
    """One more level: a row each, worst first; choosing one goes there."""
    below = _within(rows, chosen).filter(depth=len(chosen) + 1)
    if below.is_empty():
        st.markdown(":gray[Nothing further down has people enough to be compared.]")
        return
    rank = pl.col("status").replace_strict(_ORDER, range(len(_ORDER)), return_dtype=pl.Int64)
    shown = below.sort(rank, pl.col("q"), nulls_last=True, maintain_order=True).head(_CHILDREN)
    new = [attribute for attribute in attributes if attribute not in chosen]
    records = [
        {
            "One level more": " & ".join(f"{a} = {row[f'level.{a}']}" for a in new if row[f"level.{a}"]),
            "Status": STATUS[row["status"]],
            "People": row["people"],
            metric_title(metric): worded(metric, row["value"]),
            "Gap to the rest": gap_text(metric, row["gap"]),
            "Interval": span(metric, row["gap_low"], row["gap_high"]),
            "q": p_text(row["q"]),
            "Explained by": row["explained_by"] or "",
        }
        for row in shown.iter_rows(named=True)
    ]
    if not any(record["Explained by"] for record in records):
        records = [{k: v for k, v in record.items() if k != "Explained by"} for record in records]
    key = "children" + "|".join(f"{a}={level}" for a, level in chosen.items())

    def step() -> None:
        picked = st.session_state[key].selection.rows
        if picked:
            row = shown.row(picked[0], named=True)
            _go(attributes, {a: row[f"level.{a}"] for a in attributes})

    st.dataframe(
        records,
        hide_index=True,
        width="stretch",
        on_select=step,
        selection_mode="single-row",
        key=key,
        alt=f"Subgroups one level below, with {metric_title(metric)} and its gap to everyone else",
    )
    more = f" The first {_CHILDREN} of {below.height:,}." if below.height > _CHILDREN else ""
    st.caption(
        "Tick a row, or use the pickers above, to go down. Values, gaps and intervals come from the half "
        f"that had no part in the search; q from the half that was searched. {UNDEFINED}: undefined.{more}"
    )
