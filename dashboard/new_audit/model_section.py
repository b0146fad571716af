"""The form's models: each trained here from a recipe, registered, in a file, or behind an address.

A factory is not among them: it is code that would be run, which takes `--unsafe-load`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.audit.model_spec import ModelSpec, as_name
from raiaudit.dashboard.new_audit import repeated
from raiaudit.dashboard.new_audit.beginnings import architectures
from raiaudit.dashboard.new_audit.section import (
    Known,
    absolute,
    choosable_fields,
    choose_source,
    mapping,
    ordered,
)
from raiaudit.dashboard.wording import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raiaudit.dashboard.new_audit.fields import Field
    from raiaudit.dashboard.new_audit.widgets import Form

__all__ = ["begin", "draw", "title_of"]

_AT = "model"
_SOURCES = {
    "recipe": "Trained here",
    "ref": "Registered",
    "path": "A file or folder",
    "endpoint": "Behind an address",
}
_KEYS = {"ref": ("ref",), "path": ("path", "arch", "layout", "options")}
_FIRST = ("architecture", "kind", "epochs", "batch_size")
_PARTS = {"adversarial": "adversary", "private": "privacy", "fair": "fairness"}


def begin(form: Form, models: Any) -> None:
    """Show this part of a spec, a list of models. Raises `ValueError` if the form cannot."""
    if not isinstance(models, list):
        raise ValueError("the models are no list")
    repeated.begin(form, _AT, max(1, len(models)))
    for number, model in enumerate(models):
        _begin_one(form, model, repeated.numbered(_AT, number))


def _begin_one(form: Form, model: Any, at: str) -> None:
    rest = dict(mapping(model))
    sources = [key for key in (*_SOURCES, "factory") if key in rest]
    if len(sources) > 1 or "factory" in sources:
        raise ValueError("the form is for a model trained here, registered, in a file or behind an address")
    source = sources[0] if sources else "recipe"
    st.session_state[form.key(at, "source")] = source
    fields = {each.key: each for each in choosable_fields(ModelSpec)}
    if source in ("recipe", "endpoint"):
        form.fill(fields[source].inner, mapping(rest.pop(source, {})), f"{at}.{source}")
    form.fill([fields[key] for key in ("name", *_KEYS.get(source, ()))], rest, at)


def draw(form: Form, known: Known, data: str, *, audits: bool) -> list[dict[str, Any]]:
    """The section; what it says of each model. `data`: the data set's name, of which models' names are made.

    A training is of one model.
    """
    numbers = repeated.numbers(form, _AT, first=1)
    several = len(numbers) > 1
    st.subheader("Models" if several else "Model", anchor=False)
    if several:
        st.caption("Each is audited by itself under the same checks; the report sets them side by side.")
    found: list[dict[str, Any]] = []
    for place, number in enumerate(numbers):
        taken = {title_of(model) for model in found}
        at = repeated.numbered(_AT, number)
        if not several:
            found.append(_one(form, known, data, at, _AT, taken, audits=audits))
            continue
        with st.container(border=True):
            heading = st.empty()
            found.append(_one(form, known, data, at, f"models.{place}", taken, audits=audits))
            heading.markdown(f"**{place + 1}. {plain(title_of(found[-1]))}**")
            _buttons(form, number, str(place + 1))
    if audits:
        form.room("models")
        with st.container(horizontal=True):
            st.button(
                "Add a model",
                key=form.key(_AT, f"{repeated.BUTTON} add"),
                icon=":material/add:",
                on_click=_add,
                args=(form,),
            )
            if not several:
                st.button(
                    "Add a copy of this model",
                    key=form.key(_AT, f"{repeated.BUTTON} copy"),
                    icon=":material/content_copy:",
                    on_click=repeated.repeat,
                    args=(form, _AT, numbers[0]),
                    help="To change one thing about it, the kind of training say, and compare the two.",
                )
    return found


def title_of(model: Mapping[str, Any]) -> str:
    """What the model is called, as far as it is written."""
    return ModelSpec.model_construct(**{key: model.get(key) for key in ("name", "ref", "path")}).title


def _add(form: Form) -> None:
    repeated.add(form, _AT)


def _buttons(form: Form, number: int, place: str) -> None:
    with st.container(horizontal=True):
        for label, icon, act in (
            ("Copy model", "content_copy", repeated.repeat),
            ("Remove model", "delete", repeated.remove),
        ):
            st.button(
                f"{label} {place}",
                key=form.key(repeated.numbered(_AT, number), f"{repeated.BUTTON} {label}"),
                icon=f":material/{icon}:",
                on_click=act,
                args=(form, _AT, number),
                type="tertiary",
            )


def _one(
    form: Form, known: Known, data: str, at: str, place: str, taken: set[str], *, audits: bool
) -> dict[str, Any]:
    """One model; `place`: its key in the spec. `taken`: the names of those before it."""
    fields = {each.key: each for each in choosable_fields(ModelSpec)}
    sources = _SOURCES if audits else {"recipe": "Trained here"}
    source = choose_source(form, at, "Where the model comes from", sources, "recipe")
    usual = None
    if source == "recipe":
        recipe = _recipe(form, fields["recipe"], known, f"{at}.recipe", f"{place}.recipe")
        found: dict[str, Any] = {"recipe": recipe}
        usual = _free_name(data or "my", recipe, taken)
    elif source == "endpoint":
        inner = fields["endpoint"].inner
        found = {"endpoint": form.draw(inner, f"{at}.endpoint", place=f"{place}.endpoint")}
        usual = "behind-the-address"
    else:
        offered = [_offering(fields[key], known) for key in _KEYS[source]]
        found = form.draw(offered, at, place=place)
        found |= {"path": absolute(found["path"])} if "path" in found and known.local else {}
    named = replace(fields["name"], default=usual)
    name = form.one(named, at, place=place, label="Name of the model") or usual
    form.room(place)
    # A recipe is kept though nothing stands in it: then it can be said what it lacks.
    return {key: value for key, value in {"name": name, **found}.items() if value is not None}


def _free_name(data: str, recipe: dict[str, Any], taken: set[str]) -> str:
    """Of data and architecture; what else tells it from those before it, where that is needed."""
    usual = as_name(f"{data}-{recipe.get('architecture', 'model')}")
    kind = recipe.get("kind", "standard")
    if usual in taken and kind != "standard":
        usual = as_name(f"{usual}-{kind}")
    numbers = (f"{usual}-{n}" for n in range(2, len(taken) + 3))
    return usual if usual not in taken else next(name for name in numbers if name not in taken)


def _recipe(form: Form, recipe: Field, known: Known, at: str, place: str) -> dict[str, Any]:
    parts = {each.key: each for each in recipe.inner if each.key in _PARTS.values()}
    fields = [_offering(each, known) for each in recipe.inner if each.key not in parts]
    found = form.draw(ordered(fields, _FIRST), at, place=place)
    wanted = _PARTS.get(found.get("kind", ""))
    if wanted is not None:
        st.caption(f"What kind: {found['kind']} needs besides")
        value = form.one(replace(parts[wanted], optional=False, required=True), at, place=place)
        found |= {wanted: value} if value else {}
    with st.expander("More about the training"):
        found |= form.draw([each for each in fields if each.key not in _FIRST], at, place=place)
    form.room(place)
    order = [each.key for each in recipe.inner]
    return dict(sorted(found.items(), key=lambda item: order.index(item[0])))


def _offering(each: Field, known: Known) -> Field:
    if each.key in ("architecture", "arch"):
        return replace(each, choices=tuple(architectures(known.modality)))
    return replace(each, choices=tuple(known.models)) if each.key == "ref" else each
