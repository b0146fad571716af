"""How a study derives its variants: recipes from the first model's, and the checks of that model for all."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from raiaudit.audit.check import CheckConfig
from raiaudit.audit.model_spec import ModelSpec
from raiaudit.audit.spec import CheckSpec, LoadedSpec
from raiaudit.audit.studies.study import Variants
from raiaudit.errors import UsageError
from raiaudit.models.recipe import Recipe

__all__ = ["changed", "named", "shared_checks", "standard_model", "unmixed", "valid", "variants_of"]

_Model = TypeVar("_Model", bound=BaseModel)

_LONGEST_NAME = 80


def standard_model(loaded: LoadedSpec) -> ModelSpec:
    """The first model. Raises `UsageError` unless it has a recipe of kind standard."""
    first = loaded.spec.subjects[0]
    if first.recipe is None or first.recipe.kind != "standard":
        given = "no recipe" if first.recipe is None else f"kind: {first.recipe.kind}"
        raise UsageError(
            f"the first model, {first.title}, is the standard one of the study, and has {given}",
            where=str(loaded.source.path),
            remedy="put a model with a recipe of kind: standard first",
        )
    return first


def unmixed(recipe: Recipe, notes: list[str], variant: str) -> dict[str, Any]:
    """What to change in a recipe whose variant cannot blend examples."""
    if not recipe.mixup:
        return {}
    notes.append(f"{variant}: without mixup, which blends examples")
    return {"mixup": 0.0}


def named(first: ModelSpec, variant: str, recipe: Recipe) -> ModelSpec:
    """A derived variant of the first model."""
    suffix = f".{variant}"
    return ModelSpec(name=first.title[: _LONGEST_NAME - len(suffix)] + suffix, recipe=recipe)


def changed(recipe: Recipe, *, study: str, **changes: Any) -> Recipe:
    """Validated anew, unlike a copy."""
    plain = {k: v.model_dump() if isinstance(v, BaseModel) else v for k, v in changes.items()}
    return valid(Recipe, {**recipe.model_dump(), **plain}, study=study)


def valid(kind: type[_Model], fields: dict[str, Any], *, study: str) -> _Model:
    """Raises `UsageError` that names the option of the command `study`."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(str(part) for part in first["loc"]) or kind.__name__.lower()
        raise UsageError(first["msg"].removeprefix("Value error, "), where=f"{study}, {option}") from None


def variants_of(
    loaded: LoadedSpec,
    models: dict[str, ModelSpec],
    checks: list[tuple[CheckSpec, CheckConfig]],
    notes: list[str],
) -> Variants:
    """The spec that audits these models, by variant, with these checks."""
    of_spec, configs = tuple(check for check, _ in checks), tuple(config for _, config in checks)
    spec = loaded.spec.model_copy(update={"model": None, "models": tuple(models.values()), "checks": of_spec})
    titles = {variant: model.title for variant, model in models.items()}
    return Variants(LoadedSpec(spec, loaded.source, configs), titles, tuple(notes))


def shared_checks(
    loaded: LoadedSpec,
    first: ModelSpec,
    notes: list[str],
    *,
    added: Collection[str],
    for_all: Collection[str] = (),
) -> list[tuple[CheckSpec, CheckConfig]]:
    """Those of the first model for everybody, and `for_all` whomever they are for; `added` by default."""
    from raiaudit.audit.catalogue import find_check

    checks: list[tuple[CheckSpec, CheckConfig]] = []
    left_out = []
    for check, config in zip(loaded.spec.checks, loaded.configs, strict=True):
        if not check.applies_to(first.title) and check.use not in for_all:
            left_out.append(check.use)
            continue
        checks.append((check.model_copy(update={"only": ()}), config))
    for name in added:
        if name not in {check.use for check, _ in checks}:
            checks.append((CheckSpec(use=name), find_check(name).Config()))
    if left_out:
        listed = ", ".join(dict.fromkeys(left_out))
        notes.append(f"checks that are not for {first.title} are left out: {listed}")
    return checks
