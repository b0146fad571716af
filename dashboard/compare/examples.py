"""The examples on which two runs disagree, each a link to all that is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.pages import link
from raiaudit.dashboard.wording import plain
from raiaudit.reports.words.comparison_words import names, quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.comparison.results import Changed, Comparison
    from raiaudit.dashboard.pages import Pages

__all__ = ["changed_examples"]

_SHOWN = 30


def changed_examples(comparison: Comparison, pages: Pages) -> None:
    """One run and quantity at a time: what it fixed, and what it broke."""
    found = [each for each in comparison.changed if each.fixed or each.broken]
    called = names(comparison)
    place = st.selectbox(
        "Run and quantity",
        range(len(found)),
        format_func=lambda i: f"{called[found[i].run]} · {quantity(found[i])} · {_counts(found[i])}",
    )
    each = found[place]
    run, reference = comparison.runs[each.run], comparison.runs[0]
    fixed, broken = st.columns(2, gap="large")
    with fixed:
        st.subheader(f"{len(each.fixed):,} fixed", anchor=False)
        st.caption(f"{plain(run.name)} does well, {plain(reference.name)} did not")
        _links(each.fixed, run.id, pages)
    with broken:
        st.subheader(f"{len(each.broken):,} broken", anchor=False)
        st.caption(f"{plain(reference.name)} did well, {plain(run.name)} does not")
        _links(each.broken, run.id, pages)


def _links(ids: Sequence[str], run: str, pages: Pages) -> None:
    if not ids:
        st.markdown("None.")
        return
    with st.container(horizontal=True, gap="small"):
        for example in ids[:_SHOWN]:
            link(pages, "example", plain(example), run=run, example=example)
    if len(ids) > _SHOWN:
        st.caption(f"and {len(ids) - _SHOWN:,} more: comparison.json has all")


def _counts(each: Changed) -> str:
    return f"{len(each.fixed):,} fixed, {len(each.broken):,} broken"
