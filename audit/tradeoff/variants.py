"""The variants of a trade-off study, as a spec: what it has is taken as it is, what it lacks is derived.

The first model's recipe is the standard one. Adversarial and private recipes are the spec's own, if it has
any, else the standard one with an adversary, or with a budget and what DP-SGD needs changed. All variants get
the checks of the first model, so that their numbers are of the same kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from raiaudit.audit.check import CheckConfig
from raiaudit.audit.model_spec import ModelSpec
from raiaudit.audit.spec import CheckSpec, LoadedSpec
from raiaudit.errors import UsageError
from raiaudit.models.names import ARCHITECTURE_NAMES
from raiaudit.models.recipe import Adversary, PrivacyBudget, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["STANDARD", "Variants", "Wishes", "derive"]

_Model = TypeVar("_Model", bound=BaseModel)

STANDARD = "standard"
DELTA = 1e-5
_LONGEST_NAME = 80
_ADDED = ("performance.accuracy", "privacy.accounting")  # the table needs them, and they cost nothing
_FOR_PRIVATE = ("privacy.accounting", "privacy.canaries")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for besides the spec; None and () leave it to the spec's own models."""

    eps: float | None = None
    norm: Literal["linf", "l2"] | None = None
    steps: int | None = None
    epsilon: tuple[float, ...] = ()
    delta: float | None = None


@dataclass(frozen=True, slots=True)
class Variants:
    """`loaded` audits one model a variant; `titles` says which is which, the standard one first; `notes`
    tells what was derived and adapted.
    """

    loaded: LoadedSpec
    titles: dict[str, str]
    notes: tuple[str, ...]


def derive(loaded: LoadedSpec, wishes: Wishes) -> Variants:
    """The spec of the study. Raises `UsageError` where a variant is missing and cannot be derived."""
    subjects = loaded.spec.subjects
    first = subjects[0]
    if first.recipe is None or first.recipe.kind != "standard":
        given = "no recipe" if first.recipe is None else f"kind: {first.recipe.kind}"
        raise UsageError(
            f"the first model, {first.title}, is the standard one of the study, and has {given}",
            where=str(loaded.source.path),
            remedy="put a model with a recipe of kind: standard first",
        )
    if ARCHITECTURE_NAMES.get(first.recipe.architecture) == frozenset({"text"}):
        raise UsageError(
            "texts are not trained adversarially: the study is for images and tables",
            where=str(loaded.source.path),
        )
    notes: list[str] = []
    found = {STANDARD: first}
    found["adversarial"] = _adversarial(loaded, first, wishes, notes)
    found |= _private(loaded, first, found["adversarial"], wishes, notes)
    checks, configs = _checks(loaded, first, notes)
    spec = loaded.spec.model_copy(
        update={"model": None, "models": tuple(found.values()), "checks": tuple(checks)}
    )
    titles = {variant: model.title for variant, model in found.items()}
    return Variants(LoadedSpec(spec, loaded.source, tuple(configs)), titles, tuple(notes))


def _adversarial(loaded: LoadedSpec, first: ModelSpec, wishes: Wishes, notes: list[str]) -> ModelSpec:
    own = next((m for m in loaded.spec.subjects if m.recipe and m.recipe.kind == "adversarial"), None)
    changes = {k: v for k, v in _asked(wishes) if v is not None}
    if own is not None and not changes:
        return own
    base = own.recipe if own is not None and own.recipe is not None else first.recipe
    assert base is not None
    ball = base.adversary.model_dump() if base.adversary is not None else {}
    if "eps" not in ball | changes:
        raise UsageError(
            "no model of the spec is adversarial, and no radius was given to derive one",
            where=str(loaded.source.path),
            remedy=f"--eps RADIUS, or add a model of kind: adversarial{_audited_radii(loaded)}",
        )
    if changes:
        ball.pop("step_size", None)  # it belonged to another radius or number of steps
    adversary = _valid(Adversary, ball | changes)
    notes.append(f"adversarial: derived, {adversary.norm} ε {adversary.eps:g}, {adversary.steps} steps")
    recipe = _changed(base, kind="adversarial", adversary=adversary, **_unmixed(base, notes, "adversarial"))
    return _named(first, "adversarial", recipe)


def _private(
    loaded: LoadedSpec, first: ModelSpec, robust: ModelSpec, wishes: Wishes, notes: list[str]
) -> dict[str, ModelSpec]:
    """`private` and `adversarial+private`, a pair for each budget where several were asked for."""
    ours = [m for m in loaded.spec.subjects if m.recipe is not None and m.recipe.kind == "private"]
    plain = next((m for m in ours if m.recipe and m.recipe.adversary is None), None)
    both = next((m for m in ours if m.recipe and m.recipe.adversary is not None), None)
    source = plain or both
    if source is None and not wishes.epsilon:
        raise UsageError(
            "no model of the spec is private, and no budget was given to derive one",
            where=str(loaded.source.path),
            remedy="--epsilon ε, or add a model of kind: private",
        )
    base = source.recipe if source is not None and source.recipe is not None else None
    if base is None:
        assert first.recipe is not None
        base = _fit_for_privacy(first.recipe, notes)
    budgets = _budgets(base, wishes)
    several = len(budgets) > 1
    found: dict[str, ModelSpec] = {}
    for budget in budgets:
        suffix = f" ε={budget.epsilon:g}" if several else ""
        ending = f"-eps{budget.epsilon:g}" if several else ""
        same = budget == base.privacy
        private = _named(
            first, f"private{ending}", _changed(base, kind="private", privacy=budget, adversary=None)
        )
        if plain is not None and same:
            private = plain
        else:
            notes.append(f"private: derived, ε ≤ {budget.epsilon:g} at δ = {budget.delta:g}")
        found[f"private{suffix}"] = private
        assert private.recipe is not None
        assert robust.recipe is not None
        assert robust.recipe.adversary is not None
        adversary = _inside_dp(robust.recipe.adversary, notes)
        recipe = _changed(private.recipe, adversary=adversary)
        derived = _named(first, f"adversarial-private{ending}", recipe)
        taken = both is not None and same and not any(value is not None for _, value in _asked(wishes))
        found[f"adversarial+private{suffix}"] = both if taken and both is not None else derived
    return found


def _asked(wishes: Wishes) -> Iterator[tuple[str, Any]]:
    yield from (("eps", wishes.eps), ("norm", wishes.norm), ("steps", wishes.steps))


def _budgets(base: Recipe, wishes: Wishes) -> list[PrivacyBudget]:
    held = base.privacy.model_dump() if base.privacy is not None else {"delta": DELTA}
    if wishes.delta is not None:
        held["delta"] = wishes.delta
    each = wishes.epsilon or (held["epsilon"],)
    return [_valid(PrivacyBudget, held | {"epsilon": epsilon}) for epsilon in dict.fromkeys(each)]


def _fit_for_privacy(recipe: Recipe, notes: list[str]) -> Recipe:
    """Without what mixes examples: mixup, and batch norm where the architecture can do without."""
    import inspect

    from raiaudit.models.architectures import family

    changes: dict[str, Any] = _unmixed(recipe, notes, "private")
    norm = inspect.signature(family(recipe.architecture)).parameters.get("norm")
    if norm is not None and recipe.options.get("norm", norm.default) == "batch":
        changes["options"] = {**recipe.options, "norm": "group"}
        notes.append("private: batch norm, which mixes examples, became norm: group")
    return recipe.model_copy(update=changes)


def _inside_dp(adversary: Adversary, notes: list[str]) -> Adversary:
    """The same ball, attacked in the only way that per-example clipping allows."""
    if adversary.moves_only:
        return adversary.model_copy(update={"watch": 0})
    notes.append("adversarial+private: the inner attack is plain PGD, of which clipping bounds each example")
    changes = {"objective": "pgd", "gradalign": 0.0, "weight_perturbation": 0.0, "watch": 0}
    return adversary.model_copy(update=changes)


def _unmixed(recipe: Recipe, notes: list[str], variant: str) -> dict[str, Any]:
    if not recipe.mixup:
        return {}
    notes.append(f"{variant}: without mixup, which blends examples")
    return {"mixup": 0.0}


def _changed(recipe: Recipe, **changes: Any) -> Recipe:
    """Validated anew, unlike a copy."""
    return _valid(Recipe, {**recipe.model_dump(), **{k: _plain(v) for k, v in changes.items()}})


def _valid(kind: type[_Model], fields: dict[str, Any]) -> _Model:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(str(part) for part in first["loc"]) or kind.__name__.lower()
        raise UsageError(first["msg"].removeprefix("Value error, "), where=f"tradeoff, {option}") from None


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, Adversary | PrivacyBudget) else value


def _named(first: ModelSpec, variant: str, recipe: Recipe) -> ModelSpec:
    suffix = f".{variant}"
    return ModelSpec(name=first.title[: _LONGEST_NAME - len(suffix)] + suffix, recipe=recipe)


def _checks(
    loaded: LoadedSpec, first: ModelSpec, notes: list[str]
) -> tuple[list[CheckSpec], list[CheckConfig]]:
    """Those of the first model for everybody, what is about private models, and what the table needs."""
    from raiaudit.audit.catalogue import find_check

    checks: list[CheckSpec] = []
    configs: list[CheckConfig] = []
    left_out = []
    for check, config in zip(loaded.spec.checks, loaded.configs, strict=True):
        if not check.applies_to(first.title) and check.use not in _FOR_PRIVATE:
            left_out.append(check.use)
            continue
        checks.append(check.model_copy(update={"only": ()}))
        configs.append(config)
    for name in _ADDED:
        if name not in {check.use for check in checks}:
            checks.append(CheckSpec(use=name))
            configs.append(find_check(name).Config())
    if left_out:
        listed = ", ".join(dict.fromkeys(left_out))
        notes.append(f"checks that are not for {first.title} are left out: {listed}")
    return checks, configs


def _audited_radii(loaded: LoadedSpec) -> str:
    for config in loaded.configs:
        if (eps := getattr(config, "eps", None)) is not None:
            radii = eps if isinstance(eps, tuple) else (eps,)
            return f" (the spec audits ε = {', '.join(f'{radius:g}' for radius in radii)})"
    return ""
