"""One example of one run: `?run=…&example=…` and the filter that found it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.choosing import choose_run
from raiaudit.dashboard.examples import asking, attacked, changed, facts, membership, traces, training
from raiaudit.dashboard.examples.facts import said
from raiaudit.dashboard.examples.finding import find, group_columns
from raiaudit.dashboard.examples.kept import kept_of, own_features, own_picture, own_text
from raiaudit.dashboard.examples.meanings import is_personal, meaning_of
from raiaudit.dashboard.examples.picking import pick
from raiaudit.dashboard.examples.rows import open_rows
from raiaudit.dashboard.explanations import maps
from raiaudit.dashboard.nothing import say_nothing_yet
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.reading import list_runs, results_of
from raiaudit.dashboard.wording import plain
from raiaudit.errors import StorageError
from raiaudit.reports.words.wording import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Home, Run
    from raiaudit.dashboard.examples.kept import Kept
    from raiaudit.dashboard.examples.rows import ExampleRows, Value

__all__ = ["show"]

_SIDE = 224
_NOTE = (
    "Rows of a data set can be about people. This page shows what this run kept of one example, and nothing "
    "that it did not keep: it reads no data set and asks no model."
)


def show(home: Home, pages: Pages) -> None:
    """Draw the page."""
    st.title("Example", anchor=False)
    entries = list_runs(home)
    if not entries:
        say_nothing_yet(home, pages, "There is no run to show yet.", "raiaudit run examples/digits.yaml")
        return
    entry = choose_run(entries)
    link(pages, "run", "The whole audit", run=entry.id)
    if entry.header is None:
        st.error("This run cannot be shown; the others are not affected.", icon=":material/broken_image:")
        st.code(entry.problem or "", language=None, wrap_lines=True)
        return
    if entry.header.status != "finished":
        st.info("This run has not finished. Its examples are shown here once it has.")
        return
    try:
        results = results_of(entry.run)
    except StorageError as error:
        st.error("This run cannot be shown; the others are not affected.", icon=":material/broken_image:")
        st.code(str(error), language=None, wrap_lines=True)
        return
    _examples(entry.run, results)


def _examples(run: Run, results: Results) -> None:
    rows = open_rows(run)
    if rows.damaged:
        named = ", ".join(plain(name) for name in rows.damaged)
        st.warning(
            f"Damaged parts of the ledger are left out: {named}. The same spec, run again, redoes them.",
            icon=":material/warning:",
        )
    if rows.audited() is None:
        st.info(
            "This run holds no examples: its predictions came from a file, which stays where it is."
            if results.subject.record.is_predictions
            else "No check of this run kept anything of single examples."
        )
        return
    st.caption(_NOTE)
    chosen = asking.ask(rows, results)
    found = find(rows, chosen, results.data.classes)

    def known(example: str) -> bool:
        # That an attack on privacy asked about somebody tells who was in the training data.
        told = any(not is_personal(value.column) for value in rows.of(example))
        return told or bool(kept_of(run, example).of("exposed"))

    example = pick(run.id, found, chosen, known)
    if example is None:
        st.info("No example matches. Ask for less.")
        return
    _one(run, results, rows, example)


def _one(run: Run, results: Results, rows: ExampleRows, example: str) -> None:
    values, kept = rows.of(example), kept_of(run, example)
    for problem in kept.problems:
        st.warning(f"Evidence cannot be read: {plain(problem)}", icon=":material/warning:")
    classes = results.data.classes
    image, answer = st.columns([1, 2], gap="large")
    with image:
        _input(kept, results, example)
    with answer:
        _answer(rows, values, kept, classes, example)
    lacking = []
    if kept.maps is not None:
        st.header("Attribution maps", anchor=False)
        maps.show_example(kept.maps, results)
        traces.show(values)
    else:
        lacking.append("attribution maps")
    if kept.of("attacks") or kept.of("pairs"):
        st.header("Under attack", anchor=False)
        attacked.show(kept, results)
    else:
        lacking.append("adversarial input")
    changed.show(rows, example, classes)
    if kept.of("training") or kept.of("suspects") or kept.behind:
        st.header("Training examples", anchor=False)
        training.show(kept)
    else:
        lacking.append("training examples behind it")
    if lacking:
        st.caption(f"This run kept of this example no {', no '.join(lacking)}.")
    if kept.of("exposed") or any(is_personal(value.column) for value in values):
        st.header("Privacy", anchor=False)
        membership.show(rows, example, kept, classes)
    st.header("Everything the ledger says", anchor=False)
    facts.show(values, classes)


def _input(kept: Kept, results: Results, example: str) -> None:
    """The example itself, where a check kept it."""
    if (picture := own_picture(kept)) is not None:
        st.image(picture, width=_SIDE, alt=f"The image {example}")
    elif results.data.modality == "text" and (text := own_text(kept)):
        st.markdown(plain(text))
    elif features := own_features(kept):
        rows = [{"Column and value": plain(feature)} for feature in features]
        st.table(rows, border="horizontal", hide_index=True, alt=f"The row {example}")
    else:
        st.markdown(
            ":gray[No check of this run kept the input itself; nothing here reads it from the data set\\.]"
        )


def _answer(
    rows: ExampleRows, values: Sequence[Value], kept: Kept, classes: Sequence[str], example: str
) -> None:
    """Label, answer and confidence, and the groups it belongs to."""
    known = {value.column: value.value for value in values}
    st.subheader(plain(example), anchor=False)
    facts_: dict[str, str] = {}
    if rows.label is None and kept.maps is not None and "label" in kept.maps.columns:
        facts_["Label"] = plain(kept.maps["label"][0])  # the ledger has none without performance.accuracy
    for title, column in (("Label", rows.label), ("Answer", rows.predicted)):
        if column in known:
            facts_[title] = plain(said(meaning_of(str(column)), known[str(column)], classes))
    if len(facts_) == 2:
        right = facts_["Label"] == facts_["Answer"]
        facts_["Answer"] += " :green-badge[✓ right]" if right else " :red-badge[✗ wrong]"
    for column in ("accuracy.confidence", "calibration.confidence"):
        if isinstance(confidence := known.get(column), float):
            facts_.setdefault("Confidence", f"{percent(confidence)}\u00a0%")
    for name, column in group_columns(rows).items():
        if column in known:
            facts_[plain(name)] = plain(known[column])
    if not facts_:
        st.markdown("Not one of the audited examples: a training example, or an input made by a check\\.")
        return
    st.table(
        {"What": list(facts_), "Value": list(facts_.values())},
        border="horizontal",
        hide_index=True,
        hide_header=True,
        alt=f"Label, answer and groups of {example}",
    )
