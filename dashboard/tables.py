"""Tables whose cells are links into the dashboard: plain HTML with caption and scoped headings.

Streamlit's own table opens links in a new window, and a grid of columns is no table to a screen reader. All
text goes through `text`, which escapes it; addresses go through `linked`, which encodes them; `st.html`
cleans the result once more. Colours come from the classes of `style.STYLE`.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, NewType
from urllib.parse import urlencode

import streamlit as st

from raiaudit.dashboard.wording import symbol, unbroken, visible, word
from raiaudit.reports.theme import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = [
    "IN_PLACE",
    "Html",
    "absent",
    "badge",
    "draw",
    "draw_groups",
    "joined",
    "less",
    "linked",
    "noted",
    "strong",
    "text",
    "unseen",
]

Html = NewType("Html", str)

IN_PLACE = "ra-in-place"
"""The class of links that `in_place` opens within the loaded page."""

_SPACE = re.compile(r"[ \t\r\n\v\f\u2028\u2029]+")  # but no space that is there to keep words together
# What is no verdict has the colours of `style.STYLE` that are a verdict's or a note's.
_BORROWED = {"running": "ra-note", "failed": "ra-error", "interrupted": "ra-not_run"}
_TALL = 24  # rows a table may have before it scrolls
_LONGEST = 300  # characters of a name or reason that a cell holds


def text(words: object) -> Html:
    """Exactly these characters, on one line, a very long text cut with an ellipsis."""
    flat = _SPACE.sub(" ", str(words)).strip(" ")
    return Html(html.escape(visible(flat if len(flat) <= _LONGEST else f"{flat[:_LONGEST]}…")))


def less(words: object) -> Html:
    """A lesser line below."""
    return Html(f'<span class="ra-less">{text(words)}</span>') if str(words) else Html("")


def strong(words: object) -> Html:
    """Set in bold, unbroken."""
    return Html(f"<strong>{text(unbroken(str(words)))}</strong>")


def unseen(words: object) -> Html:
    """For those who hear the page: what others see from the place in the table."""
    return Html(f'<span class="ra-unseen">{text(words)}</span>')


def badge(state: str) -> Html:
    """A verdict, or what a run is besides: symbol and word on its colour."""
    sign = f'<span aria-hidden="true">{symbol(state)}</span>'
    look = _BORROWED.get(state, f"ra-{state}")
    return Html(f'<span class="ra-badge {look}">{sign} {text(word(state))}</span>')


def absent(words: str) -> Html:
    """A gap: its symbol and word, on grey."""
    symbol = f'<span aria-hidden="true">{VERDICTS["not_run"].symbol}</span>'
    return Html(f'<span class="ra-badge ra-not_run">{symbol} {text(words)}</span>')


def noted(words: str) -> Html:
    """A remark that is no verdict, on blue."""
    return Html(f'<span class="ra-badge ra-note">{text(words)}</span>')


def linked(path: str, label: Html, *, plainly: bool = False, **query: str) -> Html:
    """`label` as a link to the page at `path`; `plainly` in the colour of the label itself."""
    address = html.escape(f"{path}?{urlencode(query)}" if query else path)
    look = IN_PLACE if plainly else f"{IN_PLACE} ra-link"
    return Html(f'<a href="{address}" class="{look}">{label}</a>')


def joined(*parts: Html, by: str = " ") -> Html:
    """The parts that are not empty, `by` between them."""
    return Html(by.join(part for part in parts if part))


def draw(caption: str, head: Sequence[Html], rows: Sequence[tuple[Html, Sequence[Html]]]) -> None:
    """A table of rows: heading and cells."""
    draw_groups(caption, head, [(heading, [cells]) for heading, cells in rows])


def draw_groups(
    caption: str,
    head: Sequence[Html],
    groups: Sequence[tuple[Html, Sequence[Sequence[Html]]]],
    *,
    whole: bool = False,
) -> None:
    """A table of groups of rows: the heading of a group stands once, left of all its rows.

    A long one scrolls in its place, by keyboard too, but for one that is shown `whole`.
    """
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(_group(heading, rows) for heading, rows in groups)
    long = not whole and sum(len(rows) for _, rows in groups) > _TALL
    frame = f' ra-tall" tabindex="0" role="region" aria-label="{text(caption)}' if long else ""
    st.html(
        f'<div class="ra-scroll{frame}"><table class="ra-table"><caption>{text(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead>{body}</table></div>"
    )


def _group(heading: Html, rows: Sequence[Sequence[Html]]) -> str:
    scope = "row" if len(rows) == 1 else "rowgroup"
    first = f'<th scope="{scope}" rowspan="{len(rows)}">{heading}</th>'
    lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    return (
        "<tbody>"
        + "".join(f"<tr>{first if i == 0 else ''}{line}</tr>" for i, line in enumerate(lines))
        + "</tbody>"
    )
