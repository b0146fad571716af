"""One model: facts, where it comes from step by step, what else was made of the same data, card, audits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.dashboard import tables
from raiaudit.dashboard.models.known import recipe_in_words
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.reading import results_of
from raiaudit.dashboard.wording import chip, duration, instant, plain, shortened
from raiaudit.errors import StorageError
from raiaudit.models.cards import card_body
from raiaudit.reports.formats.model_card import audit_findings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.dashboard.models.known import KnownModel
    from raiaudit.dashboard.reading import RunEntry
    from raiaudit.models.recipe import Recipe
    from raiaudit.models.version import TrainingRecord

__all__ = ["show"]

_RUNS_SHOWN = 8
_VARIANTS_SHOWN = 12
_HEADING = re.compile(r"^## ", re.MULTILINE)


def show(model: KnownModel, others: Sequence[KnownModel], pages: Pages) -> None:
    """Draw the model. `others` are all models known here."""
    st.header(plain(shortened(model.name)), anchor=False)
    if model.registered:
        newest = model.registered[0]
        data = (model.record.data_name or "") if model.record else ""
        reference = f"{newest.name}/{newest.version}"
        link(pages, "new", "Audit this model", icon="add_task", model=reference, data=data)
    if model.record is None:
        st.info(
            "The registry names this model, but its record is not in this home: lineage and card are unknown."
        )
    else:
        _lineage(model, model.record)
        _variants(model, model.record, others)
        _card(model, model.record)
    _runs(model, pages)


def _lineage(model: KnownModel, record: TrainingRecord) -> None:
    st.subheader("Lineage", anchor=False)
    steps = {
        "Data": _data(record),
        "Recipe": _recipe(record),
        "Training": _training(record),
        "Weights": _weights(record),
        "Registry": [plain(model.registry or "not registered")],
        "Audits": [f"{len(model.runs)} finished here" if model.runs else "none here"],
    }
    st.markdown(
        "\n".join(f"{i}. **{name}**: {' · '.join(facts)}" for i, (name, facts) in enumerate(steps.items(), 1))
    )
    if record.recipe is not None:
        with st.expander("Training recipe", icon=":material/receipt_long:"):
            st.code(record.recipe.model_dump_json(indent=2, exclude_none=True), language="json")


def _data(record: TrainingRecord) -> list[str]:
    digest = f"sha256 `{plain(record.data_digest)}`" if record.data_digest else "digest unknown"
    return [
        plain(part) if part != digest else part
        for part in (record.data_name or "unknown", record.data_source, record.data_licence, digest)
        if part
    ]


def _recipe(record: TrainingRecord) -> list[str]:
    facts = [plain(recipe_in_words(record.recipe)), plain(record.architecture)]
    return [*facts, f"seed {record.seed}"] if record.seed is not None else facts


def _training(record: TrainingRecord) -> list[str]:
    facts = [f"code {plain(record.code_version)}"]
    if record.seconds is not None:
        facts.append(duration(record.seconds))
    if record.privacy is not None:
        budget = record.privacy
        state = "certified" if budget.certified else f"not certified: {plain(budget.why)}"
        facts.append(f"ε {budget.epsilon_pld:.3g} at δ {budget.delta:g} ({state})")
    return facts


def _weights(record: TrainingRecord) -> list[str]:
    if record.is_black_box:
        return [f"known by its answers alone, fingerprint `{record.weights_digest}`"]
    return [f"{record.parameters:,} parameters", f"sha256 `{record.weights_digest}`"]


def _variants(model: KnownModel, record: TrainingRecord, others: Sequence[KnownModel]) -> None:
    """Models of the same data: what of the recipe is another, and how their newest audit ended."""
    kin = [
        other
        for other in others
        if other.digest != model.digest
        and other.record is not None
        and record.data_digest is not None
        and other.record.data_digest == record.data_digest
    ]
    if not kin:
        return
    st.subheader("Made of the same data", anchor=False)
    shown = kin[:_VARIANTS_SHOWN]
    left_out = f"; {len(shown)} of {len(kin)}" if len(kin) > len(shown) else ""
    rows = []
    for other in shown:
        assert other.record is not None
        newest = other.runs[0].header if other.runs else None
        ended = tables.badge(newest.verdict or "inconclusive") if newest else tables.absent("Not audited")
        name = tables.linked("models", tables.text(other.name), model=other.digest)
        rows.append((name, [tables.text(_unlike(record, other.record)), ended]))
    tables.draw(
        f"Other models of the same data, and what differs from {model.name}{left_out}",
        [tables.text(heading) for heading in ("Model", "What differs in training", "Newest audit")],
        rows,
    )


def _unlike(mine: TrainingRecord, other: TrainingRecord) -> str:
    """ "kind standard → adversarial; adversary none → linf…": the settings of two recipes that differ."""
    if mine.recipe is None or other.recipe is None:
        return recipe_in_words(other.recipe)
    parts = [
        f"{name.replace('_', ' ')} {_short(before)} → {_short(after)}"
        for name, before, after in _settings(mine.recipe, other.recipe)
        if before != after
    ]
    if mine.seed != other.seed:
        parts.append(f"seed {mine.seed} → {other.seed}")
    if mine.code_version != other.code_version:
        parts.append(f"code {mine.code_version} → {other.code_version}")
    return "; ".join(parts) or "nothing that the records tell"


def _settings(mine: Recipe, other: Recipe) -> list[tuple[str, Any, Any]]:
    before, after = mine.model_dump(mode="json"), other.model_dump(mode="json")
    return [(name, before[name], after[name]) for name in before]


def _short(setting: object) -> str:
    if isinstance(setting, dict):
        kept = {key: val for key, val in setting.items() if val is not None}
        return ", ".join(f"{key} {val}" for key, val in list(kept.items())[:4]) or "none"
    return "none" if setting is None else str(setting)


def _card(model: KnownModel, record: TrainingRecord) -> None:
    """The model card with what the newest run measured, under headings smaller than the page's."""
    card = st.expander(
        "Model card", icon=":material/badge:", key="card", on_change="rerun", bind="query-params"
    )
    if not card.open:
        return
    with card:
        audit = None
        if model.runs:
            try:
                audit = audit_findings(results_of(model.runs[0].run), record)
            except StorageError as error:
                st.warning(plain(error), icon=":material/warning:")
        version = model.registered[0].version if model.registered else None
        body = card_body(model.name, record, version=version, audit=audit)
        st.markdown(_HEADING.sub("#### ", body.partition("\n\n")[2]))


def _runs(model: KnownModel, pages: Pages) -> None:
    st.subheader("Audits", anchor=False)
    if not model.runs:
        st.markdown("None yet. A spec that names it, raiaudit run, and it will be here.")
    for entry in model.runs[:_RUNS_SHOWN]:
        _run(entry, pages)
    if len(model.runs) > _RUNS_SHOWN:
        st.caption(f"and {len(model.runs) - _RUNS_SHOWN} older runs")


def _run(entry: RunEntry, pages: Pages) -> None:
    header = entry.header
    assert header is not None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(chip(entry.state), width="content")
        link(pages, "run", f"on {plain(header.data)}, {instant(header.started)}", run=entry.id)
