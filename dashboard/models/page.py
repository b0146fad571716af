"""Models: all in one table, then the one that `?model=` names with lineage, variants, card and runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard import tables
from raiaudit.dashboard.choosing import choose
from raiaudit.dashboard.models import detail
from raiaudit.dashboard.models.known import known_models, recipe_in_words
from raiaudit.dashboard.nothing import say_nothing_yet
from raiaudit.dashboard.pages import link
from raiaudit.dashboard.reading import list_runs
from raiaudit.dashboard.tables import Html
from raiaudit.dashboard.wording import plain
from raiaudit.errors import StorageError
from raiaudit.models.registry_listing import list_registered, registry_elsewhere
from raiaudit.reports.theme import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.store import Home
    from raiaudit.dashboard.models.known import KnownModel
    from raiaudit.dashboard.pages import Pages
    from raiaudit.models.registry import RegisteredModel

__all__ = ["show"]

_SHORT = 12  # digits of a digest that people are shown
_SHOWN = 50
_HEADINGS = (
    "Model",
    "Architecture",
    "Training",
    "Trained on",
    "Privacy",
    "Registry",
    "Newest audit",
    "Audits",
)


def show(home: Home, pages: Pages) -> None:
    """Draw the page."""
    st.title("Models", anchor=False)
    link(pages, "new", "Train a model", icon="add", **{"for": "training"})
    models = known_models(home, list_runs(home), _registered(home))
    if not models:
        why = "No model is known here yet. This trains and audits four small ones:"
        say_nothing_yet(home, pages, why, "raiaudit run examples/digits.yaml")
        return
    audited = sum(bool(model.runs) for model in models)
    st.caption(
        f"{len(models)} models, {audited} of them audited; most recently audited first, then the others of "
        "the registry"
    )
    _table(models)
    by_digest = {model.digest: model for model in models}
    chosen = choose("model", "Model", list(by_digest), lambda digest: _title(by_digest[digest]))
    detail.show(by_digest[chosen], models, pages)


def _registered(home: Home) -> list[RegisteredModel]:
    if (address := registry_elsewhere()) is not None:
        st.info(
            f"The registry is at {plain(address)}; raiaudit models list reads it. Shown here: audited models."
        )
        return []
    try:
        return list_registered(home.root)
    except StorageError as error:
        st.warning(plain(error), icon=":material/warning:")
        return []


def _table(models: Sequence[KnownModel]) -> None:
    shown = models[:_SHOWN]
    left_out = f"; the newest {_SHOWN} of {len(models)}" if len(models) > _SHOWN else ""
    tables.draw(
        f"Models: how each was trained, and how its newest audit ended{left_out}",
        [tables.text(heading) for heading in _HEADINGS],
        [(_name(model), _cells(model)) for model in shown],
    )


def _name(model: KnownModel) -> Html:
    return tables.linked("models", tables.text(model.name), model=model.digest)


def _cells(model: KnownModel) -> list[Html]:
    record = model.record
    tags = model.registered[0].tags if model.registered else {}
    architecture = record.architecture if record else tags.get("raiaudit.architecture", "unknown")
    recipe = recipe_in_words(record.recipe) if record else tags.get("raiaudit.recipe", "unknown")
    data = record.data_name if record else tags.get("raiaudit.data")
    epsilon = tags.get("raiaudit.epsilon", "")
    if record is not None:
        epsilon = f"{record.privacy.epsilon_pld:.3g}" if record.privacy else ""
    return [
        tables.text(architecture),
        tables.text(recipe),
        tables.text(data or "unknown"),
        tables.text(f"ε {epsilon}" if epsilon else "—"),
        tables.text(model.registry or "not registered"),
        _newest(model),
        tables.text(len(model.runs) or "—"),
    ]


def _newest(model: KnownModel) -> Html:
    if not model.runs:
        return tables.absent("Not audited")
    newest = model.runs[0]
    assert newest.header is not None
    mark = tables.badge(newest.header.verdict or "inconclusive")
    return tables.linked("run", mark, plainly=True, run=newest.id)


def _title(model: KnownModel) -> str:
    newest = model.runs[0].header if model.runs else None
    state = VERDICTS[newest.verdict or "inconclusive"].word if newest else "not audited"
    return f"{model.name} · {state} · {model.digest[:_SHORT]}"
