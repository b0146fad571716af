"""One example under attack: clean, the change magnified, adversarial; of texts the words that changed."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.dashboard.wording import plain
from raiaudit.reports.pictures.examples import adversarial_picture, map_pair
from raiaudit.reports.words.map_verdicts import mark_of
from raiaudit.reports.words.wording import decimal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raiaudit.audit.results import Results
    from raiaudit.dashboard.examples.kept import Kept

__all__ = ["changed_words", "show"]


def show(kept: Kept, results: Results) -> None:
    """What attacks made of it; nothing where the run kept nothing."""
    for row in kept.of("attacks"):
        st.markdown(f"**{plain(_attack(row))}**: answered {plain(row['predicted'])} instead of the label")
        if isinstance(row["clean"], str):
            _text(row)
        elif (drawn := adversarial_picture(row)) is not None:
            triple, factor = drawn
            size = _size(row)
            alt = f"Clean; the change, {factor:.3g} times as large, around grey; adversarial. {size}"
            st.image(triple, alt=alt)
            st.caption(
                plain(f"Clean; the change × {factor:.3g} around grey (grey: no change); adversarial. {size}")
            )
        else:
            st.caption(plain(_size(row)))
    for row in kept.of("pairs"):
        if (picture := map_pair(row)) is not None:
            method = str(row["method"]).replace("_", " ")
            overlap = "unknown" if row["overlap"] is None else f"{row['overlap']:.0%}"
            said = (
                f"An attack on the map ({method}, ε = {row['eps']:.3g}) that leaves the answer as it was: "
                f"left before, right after; {overlap} of the most relevant features stay so."
            )
            said = f"{said} {mark_of(results, row['method'])}".rstrip()
            st.image(picture, alt=said)
            st.caption(plain(said))


def changed_words(clean: str, adversarial: str) -> tuple[str, str]:
    """Both texts as Markdown with the words that differ set bold."""
    before, after = clean.split(), adversarial.split()
    said: tuple[list[str], list[str]] = ([], [])
    for kind, a, b, c, d in SequenceMatcher(a=before, b=after, autojunk=False).get_opcodes():
        for side, words in zip(said, (before[a:b], after[c:d]), strict=True):
            side += [plain(word) if kind == "equal" else f"**{plain(word)}**" for word in words]
    return " ".join(said[0]), " ".join(said[1])


def _text(row: Mapping[str, Any]) -> None:
    clean, adversarial = changed_words(row["clean"], row["adversarial"])
    st.table(
        {"Text": ["clean", "adversarial"], "Words, those that differ in bold": [clean, adversarial]},
        border="horizontal",
        hide_index=True,
        alt="The text before and after the attack",
    )


def _attack(row: Mapping[str, Any]) -> str:
    return f"{row['attack']}, {row['norm']} within {decimal(float(row['eps']))}"


def _size(row: Mapping[str, Any]) -> str:
    """How much changed, of inputs that are numbers."""
    if isinstance(row["clean"], str):
        return ""
    pairs = list(zip(row["clean"], row["adversarial"], strict=True))
    moved = sum(abs(a - b) > 1e-6 for a, b in pairs)
    largest = max((abs(a - b) for a, b in pairs), default=0.0)
    return f"{moved} of {len(pairs)} values changed, the largest by {decimal(largest)}."
