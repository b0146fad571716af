"""All columns of the ledger about one example, by pillar and check: in words, with the column's name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.examples.meanings import is_personal, meaning_of
from raiaudit.dashboard.pillars import PILLARS, pillar_of
from raiaudit.dashboard.wording import plain
from raiaudit.reports.words.wording import check_title, decimal, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from raiaudit.dashboard.examples.meanings import Meaning
    from raiaudit.dashboard.examples.rows import Value

__all__ = ["draw", "said", "show", "variant_words"]

_Cells = dict[tuple[str, str, str], dict[str, str]]
"""Title, words and pattern of a quantity → its value by variant."""

_WHAT, _WORDS = "What", "In plain words"
_WIDEST = 9  # variants beside each other; more stand below each other
_WORDS_BESIDE = 4  # variants beside which there is room for words
_LISTED = 6
_LONG = 160


def show(values: Sequence[Value], classes: Sequence[str]) -> None:
    """A table a check, under the name of its pillar. Personal columns and long lists are left out."""
    told = [value for value in values if not is_personal(value.column) and not _is_curve(value.value)]
    present = {pillar_of(value.check) for value in told}
    pillars = [*(name for name in PILLARS if name in present), *sorted(present - set(PILLARS))]
    for pillar in pillars:
        checks = list(dict.fromkeys(value.check for value in told if pillar_of(value.check) == pillar))
        with st.expander(plain(pillar.capitalize()), expanded=pillar == pillars[0]):
            draw([value for value in told if value.check in checks], classes)
    if lists := sum(_is_curve(value.value) for value in values):
        st.caption(
            f"Lists of numbers are left out ({lists}): inputs, maps, curves and activations. What a picture "
            "can show of them is above."
        )


def draw(values: Sequence[Value], classes: Sequence[str]) -> None:
    """The tables of each check, whatever its pillar."""
    for check in dict.fromkeys(value.check for value in values):
        _tables(check, [value for value in values if value.check == check], classes)


def said(meaning: Meaning, value: object, classes: Sequence[str]) -> str:
    """A value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        shown = ", ".join(str(item) for item in value[:_LISTED])
        return f"{shown}, …" if len(value) > _LISTED else shown
    if isinstance(value, int | float):
        if meaning.kind == "class":
            return classes[int(value)] if 0 <= value < len(classes) else "none"
        if meaning.kind == "place" and value < 0:
            return "none"
        if meaning.kind == "share":
            return f"{percent(float(value))}\u00a0%"
        return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else decimal(value)
    text = str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _is_curve(value: object) -> bool:
    return isinstance(value, list) and bool(value) and not isinstance(value[0], str)


def _tables(check: str, values: Sequence[Value], classes: Sequence[str]) -> None:
    """What is said once, then what has variants: an attack, a severity, a method each."""
    st.markdown(f"**{plain(check_title(check))}**")
    once: _Cells = {}
    varied: _Cells = {}
    for value in values:
        meaning = meaning_of(value.column)
        row = (meaning.title, meaning.words, meaning.pattern)
        cells = varied if meaning.variant else once
        cells.setdefault(row, {})[meaning.variant] = said(meaning, value.value, classes)
    for cells in (once, varied):
        if cells:
            alt = f"What {check_title(check)} recorded of this example"
            st.table(_rows(cells), border="horizontal", hide_index=True, alt=alt)


def _rows(cells: _Cells) -> list[dict[str, str]]:
    """A row a quantity and a column a variant; a row each where variants are too many for that."""
    variants = list(dict.fromkeys(variant for found in cells.values() for variant in found))
    if len(variants) > _WIDEST:
        return [
            {
                _WHAT: _what(title, pattern),
                "Of": plain(variant_words(variant)),
                "Value": plain(text),
                _WORDS: words,
            }
            for (title, words, pattern), found in _plain_words(cells)
            for variant, text in found.items()
        ]
    titles = {variant: plain(variant_words(variant)) or "Value" for variant in variants}
    beside = len(variants) <= _WORDS_BESIDE
    return [
        {
            _WHAT: _what(title, pattern, "" if beside else words),
            **{name: plain(found.get(variant, "—")) for variant, name in titles.items()},
            **({_WORDS: words} if beside else {}),
        }
        for (title, words, pattern), found in _plain_words(cells)
    ]


def _plain_words(cells: _Cells) -> Iterator[tuple[tuple[str, str, str], dict[str, str]]]:
    for (title, words, pattern), found in cells.items():
        yield (title, plain(words), pattern), found


def _what(title: str, pattern: str, words: str = "") -> str:
    """The title, what it means, and small the name of the column."""
    explained = f"  \n:gray[{words}]" if words else ""
    return f"{plain(title)}{explained}  \n:gray[:small[{plain(pattern)}]]"


def variant_words(variant: str) -> str:
    """`linf-0.15-pgd` → "linf 0.15 pgd"; `blurred:grad_cam` → "grad cam, blurred"."""
    if variant.startswith("blurred:"):
        return f"{variant_words(variant.removeprefix('blurred:'))}, blurred"
    return re.sub(r"_|(?<!\de)-", " ", variant)
