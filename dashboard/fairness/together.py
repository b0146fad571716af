"""What cannot hold together: which criteria exclude each other at these base rates, and what they force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import streamlit as st

from raiaudit.dashboard.fairness.saying import UNDEFINED, share
from raiaudit.dashboard.fairness.source import PROFILES
from raiaudit.dashboard.figures import draw_chart
from raiaudit.dashboard.wording import plain

if TYPE_CHECKING:
    from raiaudit.dashboard.fairness.source import Source

__all__ = ["show"]

_GROUPS = 16
_SAID = {
    "no": ":red-badge[✗ not together]",
    "yes": ":green-badge[✓ together]",
    "not ruled out": ":orange-badge[◐ not ruled out]",
}


def show(source: Source, attribute: str | None) -> None:
    """Draw the section for one group column."""
    rows, criteria = source.table(PROFILES, "impossibility"), source.table(PROFILES, "criteria")
    if rows is None or criteria is None or attribute is None:
        source.say_missing(PROFILES, "Without labels and a positive class there are no base rates.")
        return
    rows, criteria = rows.filter(attribute=attribute), criteria.filter(attribute=attribute)
    if rows.is_empty():
        st.info(f"The base rates of {plain(attribute)} were not looked at.")
        return
    st.markdown(
        "Where groups differ in their base rate (the share labelled positive) and predictions err, some "
        "criteria of fairness exclude each other, whatever the model. This is arithmetic, not an excuse: "
        "base rates come from the labels, and labels can be biased."
    )
    for row in criteria.iter_rows(named=True):
        said = _SAID.get(row["together"], f":gray-badge[○ {plain(row['together'])}]")
        st.markdown(f"{said} **{plain(_first_upper(row['criteria']))}** :gray[{plain(row['why'])}]")
    st.subheader("What each base rate forces", anchor=False)
    able = rows.drop_nulls("forced_fpr").sort("n", "group", descending=[True, False])
    if able.is_empty():
        st.info("No group has people enough for this.", icon=":material/block:")
    else:
        _forced(able.head(_GROUPS), able.height)
    _table(rows.sort("n", "group", descending=[True, False]).head(_GROUPS))


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _forced(rows: pl.DataFrame, groups: int) -> None:
    from raiaudit.reports.charts import forced_rates

    by_base = rows.sort("base_rate")
    low, high = by_base.row(0, named=True), by_base.row(-1, named=True)
    if rows.height > 1:
        st.markdown(
            f"Were PPV and FNR those of all groups together, the base rate alone would give {_words(high)} "
            f"and {_words(low)}."
        )
    told = "; ".join(
        f"{row['group']}: audited {_percent(row['fpr'])}, forced {_percent(row['forced_fpr'])}"
        for row in rows.iter_rows(named=True)
    )
    draw_chart(forced_rates(rows), f"False-positive rate as audited and as forced by the base rate. {told}.")
    more = f" The {_GROUPS} largest of {groups} groups." if groups > _GROUPS else ""
    st.caption(
        "False-positive rate as audited, and what the group's base rate would force on it if PPV and FNR "
        f"were those of all groups together: FPR = p/(1 − p) · (1 − PPV)/PPV · (1 − FNR).{more}"
    )


def _words(row: dict[str, Any]) -> str:
    return (
        f"**{plain(row['group'])}** (base rate {plain(_percent(row['base_rate']))}) a false-positive rate of "
        f"**{plain(_percent(row['forced_fpr']))}** (audited: {plain(_percent(row['fpr']))})"
    )


def _percent(value: float | None) -> str:
    return UNDEFINED if value is None else share(value, 1)


def _table(rows: pl.DataFrame) -> None:
    shown = {"base_rate": "Base rate", "ppv": "PPV", "fpr": "FPR", "fnr": "FNR"}
    forced = {"forced_fpr": "Forced FPR", "forced_fnr": "Forced FNR", "forced_ppv": "Forced PPV"}
    st.table(
        [
            {"Group": plain(row["group"]), "n": f"{row['n']:,}"}
            | {words: plain(_percent(row[name])) for name, words in (shown | forced).items()}
            | {"Remark": plain(row["note"] or "")}
            for row in rows.iter_rows(named=True)
        ],
        border="horizontal",
        hide_index=True,
        alt="Rates of each group, and what its base rate forces on one of them when the others are equal",
    )
    st.caption(
        f"Forced: what the base rate makes of one rate when the other two are those of all groups together. "
        f"{UNDEFINED}: undefined, too few people, or no confusion matrix has these rates."
    )
