"""The training examples behind one prediction, and what one training example stands behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.dashboard.examples.picking import go
from raiaudit.dashboard.wording import plain
from raiaudit.reports.pictures.examples import beside
from raiaudit.reports.words.wording import decimal, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.dashboard.examples.kept import Kept

__all__ = ["show"]

_RELATIONS = {
    "helpful": ("Speak most for the answer", "by TracIn: gradients that point the same way"),
    "harmful": ("Speak most against it", "by TracIn: gradients that point the other way"),
    "nearest": ("Nearest to it", "by cosine in the last layer: what the model takes for alike"),
}
_BEHIND = 12


def show(kept: Kept) -> None:
    """Three lists to go on from, the pictures a spec asked for, and the other way round."""
    for row in kept.of("kin"):
        if (picture := beside(row)) is not None:
            named = ", ".join(
                f"{relation} {label}"
                for relation, label in zip(row["relation"], row["train_label"], strict=True)
            )
            st.image(picture, alt=f"The example; then training images: {named}")
            st.caption(plain(f"The example, then training images: {named}."))
    places = st.columns(len(_RELATIONS), gap="large")
    for place, (relation, (title, how)) in zip(places, _RELATIONS.items(), strict=True):
        found = [row for row in kept.of("training") if row["relation"] == relation]
        if found:
            with place:
                st.markdown(f"**{title}**  \n:gray[{plain(how)}]")
                _listed(found, "train_id", "train_label")
    for row in kept.of("suspects"):
        agree = "unknown" if row["neighbours_agree"] is None else f"{percent(row['neighbours_agree'])} %"
        st.markdown(
            f":orange-badge[◐ suspect] labelled {plain(row['label'])}, answered {plain(row['predicted'])}; "
            f"self\\-influence {plain(decimal(row['self_influence']))}, {plain(agree)} of its neighbours "
            "have its label: is the label right?"
        )
    if kept.behind:
        st.markdown(f"**A training example that stands behind {len(kept.behind)} audited predictions**")
        _listed(kept.behind[:_BEHIND], "example_id", "predicted")


def _listed(rows: Sequence[dict[str, Any]], id_: str, label: str) -> None:
    with st.container(gap=None):
        for row in rows:
            score = "" if row["score"] is None else f" :gray[{plain(decimal(row['score']))}]"
            said = f":blue[{plain(row[id_])}] {plain(row[label] or 'not known')}{score}"
            key = f"go-{row['relation']}-{row['rank']}-{row['example_id']}"
            st.button(said, key=key, type="tertiary", on_click=go, args=(row[id_],))
