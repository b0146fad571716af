"""A text as a heat map of its words: colour says how much and which way, and so does the number under each.

The only place where names from outside enter HTML: every one is escaped, and kept in its own direction.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from raiaudit.reports.words.map_words import signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.reports.words.map_words import Weight

__all__ = ["heat_map"]

_FOR, _AGAINST = "213, 94, 0", "0, 114, 178"  # as in pictures: vermillion (to people: orange) and blue
_STRONGEST = 0.6  # of the colour, so that words stay readable on it, light or dark
_WORD = "display:inline-block;text-align:center;margin:0 0.15rem 0.45rem 0;max-width:100%"
_INK = "display:block;padding:0.05rem 0.25rem;border-radius:3px;overflow-wrap:anywhere"
_NUMBER = "display:block;font-size:0.72rem;line-height:1.2;opacity:0.75;font-variant-numeric:tabular-nums"


def heat_map(weights: Sequence[Weight]) -> str:
    """HTML without scripts, links or styles of anybody else's."""
    return f'<div style="line-height:1.5">{" ".join(_word(name, weight) for name, weight in weights)}</div>'


def _word(name: str, weight: float) -> str:
    colour = _FOR if weight >= 0 else _AGAINST
    ink = f"{_INK};background:rgba({colour}, {_STRONGEST * abs(weight):.3f})"
    return (
        f'<span style="{_WORD}"><bdi style="{ink}">{html.escape(name)}</bdi>'
        f'<span style="{_NUMBER}">{signed(weight)}</span></span>'
    )
