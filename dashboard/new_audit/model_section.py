"""The form's model: trained here from a recipe, registered, in a file, or behind an address.

A factory is not among them: it is code that would be run, which takes `--unsafe-load`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.audit.model_spec import ModelSpec, as_name
from raiaudit.dashboard.new_audit.beginnings import architectures
from raiaudit.dashboard.new_audit.section import (
    Known,
    absolute,
    choosable_fields,
    choose_source,
    mapping,
    ordered,
)

if TYPE_CHECKING:
    from raiaudit.dashboard.new_audit.fields import Field
    from raiaudit.dashboard.new_audit.widgets import Form

__all__ = ["begin", "draw"]

_SOURCES = {
    "recipe": "Trained here",
    "ref": "Registered",
    "path": "A file or folder",
    "endpoint": "Behind an address",
}
_KEYS = {"ref": ("ref",), "path": ("path", "arch", "layout", "options")}
_FIRST = ("architecture", "kind", "epochs", "batch_size")
_PARTS = {"adversarial": "adversary", "private": "privacy", "fair": "fairness"}


def begin(form: Form, model: Any) -> None:
    """Show this part of a spec. Raises `ValueError` if the form cannot."""
    rest = dict(mapping(model))
    sources = [key for key in (*_SOURCES, "factory") if key in rest]
    if len(sources) > 1 or "factory" in sources:
        raise ValueError("the form is for a model trained here, registered, in a file or behind an address")
    source = sources[0] if sources else "recipe"
    st.session_state[form.key("model", "source")] = source
    fields = {each.key: each for each in choosable_fields(ModelSpec)}
    if source in ("recipe", "endpoint"):
        form.fill(fields[source].inner, mapping(rest.pop(source, {})), f"model.{source}")
    form.fill([fields[key] for key in ("name", *_KEYS.get(source, ()))], rest, "model")


def draw(form: Form, known: Known, data: str, *, audits: bool) -> dict[str, Any]:
    """The section; what it says. `data`: the data set's name, of which a model's name is made."""
    fields = {each.key: each for each in choosable_fields(ModelSpec)}
    source = choose_source(form, "model", _SOURCES if audits else {"recipe": "Trained here"}, "recipe")
    usual = None
    if source == "recipe":
        recipe = _recipe(form, fields["recipe"], known)
        found: dict[str, Any] = {"recipe": recipe}
        usual = as_name(f"{data or 'my'}-{recipe.get('architecture', 'model')}")
    elif source == "endpoint":
        found = {"endpoint": form.draw(fields["endpoint"].inner, "model.endpoint")}
        usual = "behind-the-address"
    else:
        found = form.draw([_offering(fields[key], known) for key in _KEYS[source]], "model")
        found |= {"path": absolute(found["path"])} if "path" in found and known.local else {}
    name = form.one(replace(fields["name"], default=usual), "model", label="Name of the model") or usual
    form.room("model")
    return {key: value for key, value in {"name": name, **found}.items() if value not in (None, {})}


def _recipe(form: Form, recipe: Field, known: Known) -> dict[str, Any]:
    at = "model.recipe"
    parts = {each.key: each for each in recipe.inner if each.key in _PARTS.values()}
    fields = [_offering(each, known) for each in recipe.inner if each.key not in parts]
    found = form.draw(ordered(fields, _FIRST), at)
    wanted = _PARTS.get(found.get("kind", ""))
    if wanted is not None:
        st.caption(f"What kind: {found['kind']} needs besides")
        value = form.one(replace(parts[wanted], optional=False, required=True), at)
        found |= {wanted: value} if value else {}
    with st.expander("More about the training"):
        found |= form.draw([each for each in fields if each.key not in _FIRST], at)
    form.room(at)
    order = [each.key for each in recipe.inner]
    return dict(sorted(found.items(), key=lambda item: order.index(item[0])))


def _offering(each: Field, known: Known) -> Field:
    if each.key in ("architecture", "arch"):
        return replace(each, choices=tuple(architectures(known.modality)))
    return replace(each, choices=tuple(known.models)) if each.key == "ref" else each
