"""All columns of the ledger about one example, by pillar and check: in words, with the column's name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.examples.meanings import is_personal, meaning_of
from raiaudit.dashboard.run.pillars import PILLARS, pillar_of
from raiaudit.dashboard.wording import plain
from raiaudit.reports.wording import check_title, decimal, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.dashboard.examples.meanings import Meaning
    from raiaudit.dashboard.examples.rows import Value

__all__ = ["said", "show", "variant_words"]

_WIDEST = 6  # variants beside each other; more stand below each other
_LISTED = 6
_LONG = 160


def show(values: Sequence[Value], classes: Sequence[str]) -> None:
    """A table a check, under the name of its pillar. Personal columns and long lists are left out."""
    told = [value for value in values if not is_personal(value.column) and not _is_curve(value.value)]
    for pillar in [*PILLARS, *sorted({pillar_of(value.check) for value in told} - set(PILLARS))]:
        checks = list(dict.fromkeys(value.check for value in told if pillar_of(value.check) == pillar))
        if not checks:
            continue
        st.subheader(plain(pillar.capitalize()), anchor=False)
        for check in checks:
            _table(check, [value for value in told if value.check == check], classes)
    lists = sum(_is_curve(value.value) for value in values)
    if lists:
        st.caption(
            f"{lists} further columns are lists of numbers: inputs, maps, curves and activations. What a "
            "picture can show of them is shown above."
        )


def said(meaning: Meaning, value: object, classes: Sequence[str]) -> str:
    """A value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        shown = ", ".join(str(item) for item in value[:_LISTED])
        return f"{shown}, …" if len(value) > _LISTED else shown
    if isinstance(value, int | float):
        if meaning.kind == "class":
            return classes[int(value)] if 0 <= value < len(classes) else f"{value}: no class"
        if meaning.kind == "share":
            return f"{percent(float(value))}\u00a0%"
        return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else decimal(value)
    text = str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _is_curve(value: object) -> bool:
    return isinstance(value, list) and bool(value) and not isinstance(value[0], str)


def _table(check: str, values: Sequence[Value], classes: Sequence[str]) -> None:
    """A row a quantity; where a quantity has variants, a column each, or a row each where there are many."""
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    for value in values:
        meaning = meaning_of(value.column)
        row = (meaning.title, meaning.words, meaning.pattern)
        cells.setdefault(row, {})[meaning.variant] = said(meaning, value.value, classes)
    variants = list(dict.fromkeys(variant for found in cells.values() for variant in found))
    if len(variants) > _WIDEST:
        rows = [
            {"What": _what(*row), "Of": plain(variant_words(variant)), "Value": plain(text)}
            for row, found in cells.items()
            for variant, text in found.items()
        ]
    else:
        titles = {variant: plain(variant_words(variant)) or "Value" for variant in variants}
        rows = [
            {"What": _what(*row)}
            | {title: plain(found.get(variant, "—")) for variant, title in titles.items()}
            for row, found in cells.items()
        ]
    st.markdown(f"**{plain(check_title(check))}**")
    st.table(rows, border="horizontal", hide_index=True, alt=f"What {check_title(check)} recorded")


def _what(title: str, words: str, pattern: str) -> str:
    """The title, its plain words, and small the name of the column."""
    explained = f"  \n:gray[{plain(words)}]" if words else ""
    return f"{plain(title)}{explained}  \n:gray[:small[{plain(pattern)}]]"


def variant_words(variant: str) -> str:
    """`linf-0.15-pgd` → "linf 0.15 pgd"; `blurred:grad_cam` → "grad cam, blurred"."""
    if variant.startswith("blurred:"):
        return f"{variant_words(variant.removeprefix('blurred:'))}, blurred"
    return re.sub(r"_|(?<!\de)-", " ", variant)
