"""What a run of a spec would do: for each model and check whether it runs, why not, on how much, how long.

Made with the plan of the audit itself (audit/plan.py) on a subject that does not exist yet (prospect.py); no
model is loaded, nothing is asked over a network, and no tensor library is imported.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from raiaudit.attacks.spaces import ImageBox, TableSchema
from raiaudit.audit.check import Capability
from raiaudit.audit.forecast.costs import work_of
from raiaudit.audit.forecast.prospect import ModelNeededError, Offers, offers_of, prospect_of
from raiaudit.audit.forecast.scene import Scene, scene_of
from raiaudit.audit.forecast.speeds import BASIS, SPREAD, seconds_of, speed_of, training_seconds
from raiaudit.audit.forecast.work import Situation
from raiaudit.audit.plan import plan_check
from raiaudit.errors import RaiauditError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.attacks.threats import Knowledge
    from raiaudit.audit.check import CheckConfig
    from raiaudit.audit.spec import CheckSpec, LoadedSpec, ModelSpec

__all__ = ["CheckForecast", "Forecast", "ModelForecast", "Seconds", "forecast"]

Seconds = tuple[float, float]
"""A range: from, to."""

_DOCUMENTS = 4.0  # seconds of a run's documents
_START = 6.0  # seconds until the first model is there: libraries, registry, data
_LOOKS_INSIDE = frozenset({"explanations.inside"})  # its tasks depend on the layers of the network
_SLOW_ANSWER = 0.02  # seconds a request to an endpoint is taken to last


@dataclass(frozen=True, slots=True)
class CheckForecast:
    """`status`: it `runs`; it `may_run`, depending on what `reason` says; it `cannot` and will be `not_run`;
    it `stops` the run with exit code 2. `tasks` and `examples` are None where they cannot be told.
    """

    check: str
    status: Literal["runs", "may_run", "cannot", "stops"]
    reason: str = ""
    tasks: int | None = None
    examples: int | None = None
    seconds: Seconds | None = None
    peak: str = ""
    gates: int = 0


@dataclass(frozen=True, slots=True)
class ModelForecast:
    """A model of the spec: where it comes from, how long its training takes if it is trained, its checks.

    `problem` says why it cannot be had; the run then stops.
    """

    model: str
    source: str
    training: Seconds | None
    checks: tuple[CheckForecast, ...]
    seconds: Seconds
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Forecast:
    """`problem` is set where the data cannot be read: then no check can be told. `overhead` is the part of
    `seconds` that no check and no training takes.
    """

    models: tuple[ModelForecast, ...] = ()
    seconds: Seconds | None = None
    basis: tuple[str, ...] = ()
    problem: str = ""
    took: float = 0.0
    sizes: dict[str, int] = field(default_factory=dict)
    overhead: Seconds = (0.0, 0.0)

    @property
    def stops(self) -> bool:
        """Whether a run would end with exit code 2 before it reached a verdict on every model."""
        return bool(self.problem) or any(
            model.problem or any(check.status == "stops" for check in model.checks) for model in self.models
        )

    def as_data(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def forecast(loaded: LoadedSpec) -> Forecast:
    """The forecast of a spec. What is wrong with its data is told, not raised: the spec may be right."""
    start = time.perf_counter()
    try:
        scene = scene_of(loaded)
    except RaiauditError as error:
        return Forecast(problem=str(error), took=time.perf_counter() - start)
    models = tuple(_model(loaded, model, scene) for model in loaded.spec.subjects)
    total = (_START + sum(m.seconds[0] for m in models), _START + sum(m.seconds[1] for m in models))
    low, high = _range(_DOCUMENTS * len(models))
    basis = [BASIS, *([scene.basis] if scene.basis else [])]
    if any(model.endpoint is not None for model in loaded.spec.subjects):
        basis.append(f"an endpoint is taken to answer a request in {_SLOW_ANSWER * 1000:g} ms")
    if any(model.recipe is not None for model in loaded.spec.subjects):
        basis.append("a model that the registry has already is not trained again")
    return Forecast(
        models,
        total,
        tuple(basis),
        "",
        time.perf_counter() - start,
        dict(scene.sizes),
        (_START + low, _START + high),
    )


def _model(loaded: LoadedSpec, model: ModelSpec, scene: Scene) -> ModelForecast:
    offers = offers_of(loaded, model)
    at = _situation(loaded, model, scene, offers)
    built = model.recipe or model
    speed = speed_of(built.architecture, at.pixels, at.modality, built.options)
    if model.endpoint is not None:
        speed = (_SLOW_ANSWER / model.endpoint.batch * 1e6, 0.0)
    training = training_seconds(model.recipe, at, speed) if model.recipe else 0.0
    checks = []
    total = _DOCUMENTS + training
    for use, config in loaded.checks_of(model):
        told = _check(loaded, model, scene, offers, use, config)
        work = work_of(use.use, config, at)
        if told.status in ("runs", "may_run") and work is not None:
            seconds = seconds_of(work, speed, training=training)
            total += seconds
            peak = work.peak
            told = _with(told, _range(seconds), peak, _examples(config, at))
        checks.append(told)
    return ModelForecast(
        model=model.title,
        source=_source(model),
        training=_range(training) if model.recipe else None,
        checks=tuple(checks),
        seconds=_range(total),
        problem=_missing(loaded, model),
    )


def _check(
    loaded: LoadedSpec, model: ModelSpec, scene: Scene, offers: Offers, use: CheckSpec, config: CheckConfig
) -> CheckForecast:
    best = _planned(loaded, model, scene, offers.sure | offers.maybe, use, config)
    if not offers.maybe or best.status in ("cannot", "stops"):
        return best
    worst = _planned(loaded, model, scene, offers.sure, use, config)
    if worst.status != "cannot":
        return best
    return CheckForecast(
        use.use,
        "may_run",
        f"it depends on {offers.depends}; if not: {worst.reason}",
        best.tasks,
        gates=best.gates,
    )


def _planned(
    loaded: LoadedSpec,
    model: ModelSpec,
    scene: Scene,
    offered: frozenset[Capability],
    use: CheckSpec,
    config: CheckConfig,
) -> CheckForecast:
    subject = prospect_of(loaded, model, scene, offered)
    gates = len(use.gate)
    if use.use in _LOOKS_INSIDE:
        from raiaudit.audit.catalogue import find_check

        lacking = sorted(find_check(use.use).needs - offered)
        if lacking:
            return CheckForecast(
                use.use, "cannot", f"the subject offers no {', no '.join(lacking)}", gates=gates
            )
        return CheckForecast(use.use, "runs", gates=gates)
    try:
        planned = plan_check(use, config, subject)
    except ModelNeededError as error:
        return CheckForecast(use.use, "may_run", error.problem, gates=gates)
    except UnknownNameError as error:
        if not scene.read:
            return CheckForecast(
                use.use, "may_run", f"as far as can be told without the data: {error}", gates=gates
            )
        return CheckForecast(use.use, "stops", str(error), gates=gates)
    except UsageError as error:
        return CheckForecast(use.use, "stops", str(error), gates=gates)
    except Exception as error:  # a plug-in's, or of rows that only stand in for the data
        return CheckForecast(use.use, "may_run", f"its tasks cannot be told: {error}", gates=gates)
    if planned.reason is not None:
        return CheckForecast(use.use, "cannot", planned.reason, gates=gates)
    return CheckForecast(use.use, "runs", tasks=len(planned.tasks), gates=gates)


def _with(told: CheckForecast, seconds: Seconds, peak: str, examples: int | None) -> CheckForecast:
    return CheckForecast(
        told.check, told.status, told.reason, told.tasks, examples, seconds, peak, told.gates
    )


def _situation(loaded: LoadedSpec, model: ModelSpec, scene: Scene, offers: Offers) -> Situation:
    space = scene.dataset.space
    limit = loaded.spec.run.limit
    test = scene.sizes["test"]
    data_groups = scene.dataset.group_names
    levels = dict.fromkeys(data_groups, 2)
    if data_groups:
        groups = scene.dataset.splits["test"].groups
        levels = {name: groups[name].n_unique() for name in data_groups}
    return Situation(
        modality=scene.dataset.modality,
        test=test if limit is None else min(limit, test),
        sizes=scene.sizes,
        classes=len(scene.dataset.classes),
        pixels=space.shape[1] * space.shape[2] if isinstance(space, ImageBox) else 0,
        levels=levels,
        width=len(space.columns) if isinstance(space, TableSchema) else 0,
        recipe=model.recipe,
        knowledge=_knowledge(offers.sure | offers.maybe),
    )


def _knowledge(offered: frozenset[Capability]) -> Knowledge:
    if Capability.GRADIENTS in offered:
        return "white"
    return "score" if Capability.PROBABILITIES in offered else "label"


def _examples(config: CheckConfig, at: Situation) -> int | None:
    pool = getattr(config, "pool", None)
    if isinstance(pool, int):
        return min(2 * pool, at.sizes["train"] + at.sizes["test"] + at.sizes["validation"])
    return at.first(getattr(config, "examples", None))


def _source(model: ModelSpec) -> str:
    if model.recipe is not None:
        return f"trained here: {model.recipe.kind} {model.recipe.architecture}, {model.recipe.epochs} epochs"
    if model.endpoint is not None:
        return f"asked at {model.endpoint.url}"
    return f"loaded from {model.ref or model.path or model.factory}"


def _missing(loaded: LoadedSpec, model: ModelSpec) -> str:
    name = model.path or (model.factory or "").rpartition(":")[0]
    if name and not (loaded.folder / name).exists():
        return f"there is no file or folder {name} beside the spec"
    if model.path is not None:
        for module, extra in _packages(loaded.folder / model.path):
            if find_spec(module) is None:
                return (
                    f"it needs the package {module}, which is not installed: pip install 'raiaudit[{extra}]'"
                )
    return ""


def _packages(path: Path) -> tuple[tuple[str, str], ...]:
    """What reading a model takes besides raiaudit itself, each package with its extra."""
    if path.suffix.lower() == ".onnx":
        return (("onnx", "onnx"), ("onnxruntime", "onnx"))
    return (("transformers", "huggingface"),) if path.is_dir() else ()


def _range(seconds: float) -> Seconds:
    return seconds / SPREAD, seconds * SPREAD
