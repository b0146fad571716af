"""A subject that does not exist yet: what could be asked of a model once it is trained, loaded or reached.

Some of that is not known before: an ONNX graph may or may not translate into torch, a registered model may or
may not have learnt from this data. So there is what a model surely offers and what it may offer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from raiaudit.audit.check import Capability
from raiaudit.audit.subject import OFFERS, Subject
from raiaudit.errors import RaiauditError
from raiaudit.models.version import PrivacyRecord, TrainingRecord

if TYPE_CHECKING:
    from raiaudit.audit.forecast.scene import Scene
    from raiaudit.audit.spec import LoadedSpec, ModelSpec

__all__ = ["ModelNeededError", "Offers", "Prospect", "offers_of", "prospect_of"]


class ModelNeededError(RaiauditError):
    """What is asked cannot be told before the model is there."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What a model surely offers, what it may offer besides, and what that depends on."""

    sure: frozenset[Capability]
    maybe: frozenset[Capability] = frozenset()
    depends: str = ""


@dataclass
class Prospect(Subject):
    """A subject with capabilities that are given, and no classifier."""

    offered: frozenset[Capability] = frozenset()

    @cached_property
    def capabilities(self) -> frozenset[Capability]:  # noqa: D102 -- said by the class
        return self.offered

    @cached_property
    def classifier(self) -> NoReturn:
        """There is none."""
        raise ModelNeededError("this depends on the network, which is not loaded to validate a spec")


def offers_of(loaded: LoadedSpec, model: ModelSpec) -> Offers:
    """What may be asked of a model of the spec."""
    groups = frozenset({Capability.GROUPS}) if _has_groups(loaded) else frozenset()
    trained = frozenset({Capability.TRAINING_DATA, Capability.RETRAINING})
    if model.recipe is not None:
        return Offers(OFFERS["white"] | trained | groups)
    if model.ref is not None:
        return Offers(
            OFFERS["white"] | groups, trained, "whether the registered model was trained on this data"
        )
    if model.endpoint is not None:
        return Offers(OFFERS["score" if model.endpoint.returns == "scores" else "label"] | groups)
    more = OFFERS["white"] - OFFERS["score"]
    if model.factory is not None:
        return Offers(
            OFFERS["score"] | groups, more, "whether a gradient reaches the inputs of what the file builds"
        )
    if model.path is not None and model.path.lower().endswith(".onnx"):
        return Offers(OFFERS["score"] | groups, more, "whether the graph translates into torch")
    return Offers(OFFERS["white"] | groups)


def prospect_of(
    loaded: LoadedSpec, model: ModelSpec, scene: Scene, offered: frozenset[Capability]
) -> Prospect:
    """The subject as a check would see it, as far as that can be known."""
    nothing: Any = None
    return Prospect(
        name=model.title,
        dataset=scene.dataset,
        record=_record(model),
        version=nothing,  # a check that asks for it asks for the classifier
        seed=loaded.spec.run.seed,
        limit=loaded.spec.run.limit,
        registry=_no_registry,
        offered=offered,
    )


def _no_registry() -> NoReturn:
    raise ModelNeededError(
        "this depends on a registered model, and the registry is not opened to validate a spec"
    )


def _has_groups(loaded: LoadedSpec) -> bool:
    from raiaudit.audit.spec import NamedData
    from raiaudit.models.data.known import KNOWN

    data = loaded.spec.data
    return bool(KNOWN[data.name].groups if isinstance(data, NamedData) else data.groups)


def _record(model: ModelSpec) -> TrainingRecord:
    recipe = model.recipe
    architecture = recipe.architecture if recipe else model.architecture or "unknown"
    return TrainingRecord(
        architecture=architecture,
        config={},
        recipe=recipe,
        code_version="",
        privacy=None
        if recipe is None or recipe.privacy is None
        else _private(recipe.privacy.epsilon, recipe.privacy.delta),
        parameters=0,
        weights_digest="",
    )


def _private(epsilon: float, delta: float) -> PrivacyRecord:
    """A record of private training to come: that there is one, not what it will say."""
    return PrivacyRecord(
        sample_rate=0.1,
        noise_multiplier=1,
        steps=1,
        clip=1,
        delta=delta,
        epsilon_pld=epsilon,
        epsilon_prv=None,
        target_epsilon=epsilon,
        poisson_sampling=True,
        public_divisor=1,
        max_clipped_norm=1,
        certified=False,
    )
