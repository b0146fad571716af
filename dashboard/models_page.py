"""The models that audits have seen, by weights digest. Read from results; no registry is opened."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.reading import RunEntry, list_runs, results_of, subject_of
from raiaudit.dashboard.wording import chip, duration, instant, plain
from raiaudit.errors import StorageError
from raiaudit.models.cards import card_body
from raiaudit.reports.model_card import audit_findings

if TYPE_CHECKING:
    from raiaudit.audit.results import SubjectCard
    from raiaudit.audit.store import Home
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.version import TrainingRecord

__all__ = ["show"]

_WIDTHS = [1.5, 2.6, 1.8, 2.0]
_RUNS_SHOWN = 5
_HEADING = re.compile(r"^## ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Seen:
    subject: SubjectCard
    runs: list[RunEntry]


def show(home: Home, pages: Pages) -> None:
    """Draw the page."""
    st.title("Models")
    models = _models(list_runs(home))
    if not models:
        st.info("No finished audit yet, so no model to show. Start with: raiaudit run examples/digits.yaml")
        return
    runs = sum(len(seen.runs) for seen in models)
    st.caption(f"{len(models)} models in {runs} finished runs, most recently audited first")
    for seen in models:
        _model(seen, pages)


def _models(entries: list[RunEntry]) -> list[_Seen]:
    found: dict[str, _Seen] = {}
    for entry in entries:
        if entry.header is None or entry.header.status != "finished":
            continue
        card = subject_of(entry.run)
        if card is not None and not card.record.is_predictions:
            found.setdefault(card.record.weights_digest, _Seen(card, [])).runs.append(entry)
    return list(found.values())


def _model(seen: _Seen, pages: Pages) -> None:
    record = seen.subject.record
    with st.container(border=True):
        st.subheader(plain(seen.subject.name), anchor=False)
        facts = {
            "Architecture": plain(record.architecture),
            "Recipe": _recipe(record.recipe),
            "Parameters": "unverifiable" if record.is_black_box else f"{record.parameters:,}",
            "Trained on": plain(record.data_name or "unknown"),
            "Training": duration(record.seconds),
            "Privacy": _privacy(record),
            "Registry": f"version {seen.subject.version}" if seen.subject.version else "not registered",
        }
        for column, (name, text) in zip(st.columns(len(facts)), facts.items(), strict=True):
            column.markdown(f":gray[{name}]  \n{text}")
        data = record.data_digest or "unknown"
        digest = "Fingerprint of its answers" if record.is_black_box else "Weights sha256"
        st.markdown(f":gray[{digest}] `{record.weights_digest}`  \n:gray[Data sha256] `{plain(data)}`")
        _card(seen)
        for entry in seen.runs[:_RUNS_SHOWN]:
            _run(entry, pages)
        if len(seen.runs) > _RUNS_SHOWN:
            st.caption(f"and {len(seen.runs) - _RUNS_SHOWN} older runs")


def _card(seen: _Seen) -> None:
    """The model card with what the newest run measured, under headings smaller than the page's."""
    subject = seen.subject
    with st.expander("Model card"):
        try:
            audit = audit_findings(results_of(seen.runs[0].run), subject.record)
        except StorageError as error:
            st.warning(plain(error), icon=":material/warning:")
            audit = None
        body = card_body(subject.name, subject.record, version=subject.version or None, audit=audit)
        st.markdown(_HEADING.sub("##### ", body.partition("\n\n")[2]))


def _recipe(recipe: Recipe | None) -> str:
    if recipe is None:
        return "trained elsewhere"
    if recipe.adversary is not None:
        return f"{recipe.kind}, {recipe.adversary.norm} ε {recipe.adversary.eps:.4g}"
    if recipe.fairness is not None:
        return plain(f"fair, {recipe.fairness.method.replace('_', ' ')} by {recipe.fairness.attribute}")
    return recipe.kind


def _privacy(record: TrainingRecord) -> str:
    if record.privacy is None:
        return "none"
    state = "" if record.privacy.certified else ", not certified"
    return f"ε {record.privacy.epsilon_pld:.3g} at δ {record.privacy.delta:g}{state}"


def _run(entry: RunEntry, pages: Pages) -> None:
    header = entry.header
    assert header is not None
    verdict, data, started, opening = st.columns(_WIDTHS, vertical_alignment="center")
    verdict.markdown(chip(entry.state))
    data.markdown(f"audited on {plain(header.data)}")
    started.markdown(instant(header.started))
    with opening:
        link(pages, "run", "Open the run", run=entry.id)
