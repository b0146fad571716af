"""The variants of a trade-off study, as a spec: what it has is taken as it is, what it lacks is derived.

The first model's recipe is the standard one. Adversarial and private recipes are the spec's own, if it has
any, else the standard one with an adversary, or with a budget and what DP-SGD needs changed. All variants get
the checks of the first model, so that their numbers are of the same kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

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
from raiaudit.errors import UsageError
from raiaudit.models.names import ARCHITECTURE_NAMES
from raiaudit.models.recipe import Adversary, PrivacyBudget, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from raiaudit.audit.model_spec import ModelSpec
    from raiaudit.audit.spec import LoadedSpec
    from raiaudit.audit.studies.study import Variants

__all__ = ["Wishes", "derive"]

DELTA = 1e-5
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


def derive(loaded: LoadedSpec, wishes: Wishes) -> Variants:
    """The spec of the study. Raises `UsageError` where a variant is missing and cannot be derived."""
    first = standard_model(loaded)
    assert first.recipe is not None
    if ARCHITECTURE_NAMES.get(first.recipe.architecture) == frozenset({"text"}):
        raise UsageError(
            "texts are not trained adversarially: the study is for images and tables",
            where=str(loaded.source.path),
        )
    notes: list[str] = []
    found = {STANDARD: first}
    found["adversarial"] = _adversarial(loaded, first, wishes, notes)
    found |= _private(loaded, first, found["adversarial"], wishes, notes)
    checks = shared_checks(loaded, first, notes, added=_ADDED, for_all=_FOR_PRIVATE)
    return variants_of(loaded, found, checks, notes)


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
    adversary = valid(Adversary, ball | changes, study="tradeoff")
    notes.append(f"adversarial: derived, {adversary.norm} ε {adversary.eps:g}, {adversary.steps} steps")
    recipe = changed(
        base,
        study="tradeoff",
        kind="adversarial",
        adversary=adversary,
        **unmixed(base, notes, "adversarial"),
    )
    return named(first, "adversarial", recipe)


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
        private = named(
            first,
            f"private{ending}",
            changed(base, study="tradeoff", kind="private", privacy=budget, adversary=None),
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
        recipe = changed(private.recipe, study="tradeoff", adversary=adversary)
        derived = named(first, f"adversarial-private{ending}", recipe)
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
    return [
        valid(PrivacyBudget, held | {"epsilon": epsilon}, study="tradeoff") for epsilon in dict.fromkeys(each)
    ]


def _fit_for_privacy(recipe: Recipe, notes: list[str]) -> Recipe:
    """Without what mixes examples: mixup, and batch norm where the architecture can do without."""
    import inspect

    from raiaudit.models.architectures import family

    changes: dict[str, Any] = unmixed(recipe, notes, "private")
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


def _audited_radii(loaded: LoadedSpec) -> str:
    for config in loaded.configs:
        if (eps := getattr(config, "eps", None)) is not None:
            radii = eps if isinstance(eps, tuple) else (eps,)
            return f" (the spec audits ε = {', '.join(f'{radius:g}' for radius in radii)})"
    return ""
