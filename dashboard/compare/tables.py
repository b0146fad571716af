"""A comparison's tables on a page: static, so that texts wrap and a screen reader reads rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.wording import plain
from raiaudit.reports.words.comparison_words import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from raiaudit.audit.comparison.results import Outcome
    from raiaudit.reports.formats.blocks import Block

__all__ = ["draw"]

_COLOURS: dict[Outcome, str] = {"better": "green", "worse": "red"}


def draw(blocks: Iterable[Block], *, alt: str) -> None:
    """One below the other, each under its title."""
    for block in blocks:
        if block.title:
            st.markdown(f"**{plain(block.title)}**")
        columns: dict[str, list[str]] = {}
        for place, title in enumerate(block.header):
            # Two runs may bear one name; a table needs two.
            name = plain(title)
            columns[name if name not in columns else f"{name} ({place})"] = [
                _cell(row[place]) for row in block.rows
            ]
        st.table(columns, border="horizontal", hide_index=True, alt=f"{alt} {block.title}".rstrip())


def _cell(lines: Sequence[str]) -> str:
    first, *rest = lines
    return _first(first) + "".join(f"  \n:gray[{plain(line)}]" for line in rest if line)


def _first(line: str) -> str:
    """With a coloured badge where it ends in a finding."""
    for outcome, words in OUTCOMES.items():
        if line.endswith(words):
            badge = f":{_COLOURS.get(outcome, 'gray')}-badge[{plain(words)}]"
            return f"{plain(line.removesuffix(words))} {badge}".strip()
    return plain(line)
