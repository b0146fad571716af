"""The variants of a mitigation study, as a spec: the first model as it is, and with each method.

Fair models of the spec for this attribute are taken as they are; methods it lacks are derived from the first
model's recipe. All variants get the checks of the first model, so that their numbers are of the same kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from raiaudit.audit.fairness.counting.rows import CHECK_ID
from raiaudit.audit.spec import CheckSpec, load_data
from raiaudit.audit.studies.cells import STANDARD
from raiaudit.audit.studies.deriving import (
    changed,
    named,
    shared_checks,
    standard_model,
    unmixed,
    valid,
    variants_of,
)
from raiaudit.errors import UnknownNameError, UsageError
from raiaudit.models.fairness import require_suited
from raiaudit.models.recipe import SETTINGS, Criterion, Method, Mitigation, require_attribute

if TYPE_CHECKING:
    from raiaudit.audit.check import CheckConfig
    from raiaudit.audit.model_spec import ModelSpec
    from raiaudit.audit.spec import LoadedSpec
    from raiaudit.audit.studies.study import Variants
    from raiaudit.models.data.dataset import Dataset

__all__ = ["METHODS", "Wishes", "derive"]

METHODS: tuple[Method, ...] = get_args(Method)
_STUDY = "mitigate"
_ADDED = ("performance.accuracy", CHECK_ID)
_STRONGER: dict[str, dict[str, Any]] = {"lagrangian": {"strength": 3.0, "weights_rate": 0.05}}
"""For trainings of some hundred steps; a spec's own model has its own."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """The attribute, and what was asked for besides; () is every method that suits the data."""

    attribute: str
    methods: tuple[str, ...] = ()
    criterion: Criterion = "demographic_parity"
    positive: str | None = None
    bound: float | None = None


def derive(loaded: LoadedSpec, wishes: Wishes) -> Variants:
    """The spec of the study. Raises `UsageError` for what the data or the spec cannot give."""
    first, dataset = standard_model(loaded), load_data(loaded)
    require_attribute(wishes.attribute, dataset.group_names)
    for method in wishes.methods:
        if method not in METHODS:
            raise UnknownNameError("method", method, METHODS, where=f"{_STUDY} --method")
    notes: list[str] = []
    found = {STANDARD: first, **_own(loaded, wishes)}
    for method in wishes.methods or METHODS:
        if method not in found:
            mitigation = _mitigation(method, wishes)
            if _suits(mitigation, dataset, notes, asked=bool(wishes.methods)):
                found[method] = _derived(first, mitigation, notes)
    if len(found) == 1:
        raise UsageError("no method suits this data set", where=_STUDY, remedy="; ".join(notes))
    checks = shared_checks(loaded, first, notes, added=_ADDED)
    return variants_of(loaded, found, [_about(*check, wishes) for check in checks], notes)


def _own(loaded: LoadedSpec, wishes: Wishes) -> dict[str, ModelSpec]:
    """The spec's fair models for this attribute and criterion, by method; a second one by its own name."""
    found: dict[str, ModelSpec] = {}
    for model in loaded.spec.subjects:
        fairness = model.recipe.fairness if model.recipe is not None else None
        if fairness is None or fairness.attribute != wishes.attribute:
            continue
        if "criterion" in SETTINGS.get(fairness.method, ()) and fairness.criterion != wishes.criterion:
            continue
        if not wishes.methods or fairness.method in wishes.methods:
            found[model.title if fairness.method in found else fairness.method] = model
    return found


def _mitigation(method: str, wishes: Wishes) -> Mitigation:
    asked = {"criterion": wishes.criterion, "positive": wishes.positive, "bound": wishes.bound}
    read = SETTINGS.get(method, ())  # what a method ignores must not make another model of it
    given = {name: value for name, value in asked.items() if value is not None and name in read}
    fields = {"method": method, "attribute": wishes.attribute, **_STRONGER.get(method, {}), **given}
    return valid(Mitigation, fields, study=_STUDY)


def _suits(mitigation: Mitigation, dataset: Dataset, notes: list[str], *, asked: bool) -> bool:
    try:
        require_suited(mitigation, dataset)
    except UsageError as error:
        if asked:
            raise
        notes.append(f"{mitigation.method}: left out, {error.problem}")
        return False
    return True


def _derived(first: ModelSpec, mitigation: Mitigation, notes: list[str]) -> ModelSpec:
    assert first.recipe is not None
    changes = unmixed(first.recipe, notes, mitigation.method)
    recipe = changed(first.recipe, study=_STUDY, kind="fair", fairness=mitigation, **changes)
    ending = "" if mitigation.criterion == "demographic_parity" else f".{mitigation.criterion}"
    return named(first, f"{mitigation.method}.{mitigation.attribute}{ending}", recipe)


def _about(check: CheckSpec, config: CheckConfig, wishes: Wishes) -> tuple[CheckSpec, CheckConfig]:
    """`fairness.groups` must look at the attribute, and at the class that was asked for."""
    if check.use != CHECK_ID:
        return check, config
    columns, changes = getattr(config, "columns", None), dict[str, Any]()
    if columns is not None and wishes.attribute not in columns:
        changes["columns"] = (*columns, wishes.attribute)
    if wishes.positive is not None:
        changes["positive"] = wishes.positive
    with_ = {**check.with_, **changes}
    return check.model_copy(update={"with_": with_}), config.model_copy(update=changes)
