"""Are the maps faithful? Every method's maps, judged by one perturbation trace against maps that know nothing.

Each audited example's predicted class is explained by every method. The maps, and their controls, are ranked
once and walked once (`traces`); deletion, insertion, AOPC, pixel flipping, monotonicity, comprehensiveness and
sufficiency are read off. Beside them infidelity, max-sensitivity, complexity and sparseness, and, where
`planted` says where the evidence is, localisation. The controls are in `controls`; the statistics in
`faithfulness_summary`.

Ledger columns: `faithfulness.predicted`; for every map M (a method, `random`, the input's control, and
`blurred:<method>`) `faithfulness.<M>.<metric>`, `.most` and `.least` (curves); for a method that cannot explain
this model `faithfulness.<M>.reason` instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl
from pydantic import Field

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.explanations.methods.views import Baseline
from raiaudit.audit.explanations.quality.explained import MethodNames
from raiaudit.audit.explanations.quality.planted import PlantedEvidence, truth_of
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from raiaudit.audit.explanations.methods.views import View
    from raiaudit.audit.explanations.quality.traces import Trace
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject
    from raiaudit.models.data.dataset import Split

__all__ = ["Faithfulness", "FaithfulnessConfig"]

Columns = dict[str, Any]


class FaithfulnessConfig(CheckConfig):
    """Which maps are judged, on how many examples, and how finely."""

    methods: MethodNames = Field(
        default=("integrated_gradients", "saliency", "input_x_gradient"), description="attribution methods"
    )
    examples: int = Field(default=100, ge=1, description="explain the first n test examples")
    baseline: Baseline = Field(
        default="mean", description="what removed features become: the mean training input, or zeros"
    )
    levels: int = Field(default=20, ge=4, description="steps from nothing removed to everything removed")
    random_maps: int = Field(default=3, ge=1, description="random maps an example's maps are held against")
    patches: int = Field(default=32, ge=2, description="patches whose effect a map must foretell (infidelity)")
    draws: int = Field(default=4, ge=0, description="moved inputs for max-sensitivity; 0 leaves it out")
    radius: float = Field(
        default=0.02, gt=0, description="how far they are moved: pixel range, or standard deviations"
    )
    planted: PlantedEvidence | None = Field(
        default=None, description="where the evidence is known to be: adds localisation"
    )
    shard: int = Field(default=50, ge=1, description="examples in one task")


class Faithfulness:
    """One trace a map; every metric against random maps and an edge detector."""

    id: ClassVar[str] = "explanations.faithfulness"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "Do the maps find what the model uses better than maps that know nothing?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LOGITS, Capability.GRADIENTS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = FaithfulnessConfig

    def tasks(self, subject: Subject, config: FaithfulnessConfig) -> Sequence[Task]:
        """Shards of rows. Raises `CapabilityError` for planted evidence that these inputs cannot hold."""
        if config.planted is not None:
            config.planted.require(subject)
        total = min(config.examples, len(subject.test))
        options = config.model_dump(mode="json", exclude={"examples", "shard"})
        return [
            Task(
                check=self.id,
                name=f"faithfulness-{start:05d}",
                params={"start": start, "stop": min(start + config.shard, total)},
                config=options,
                version=self.version,
            )
            for start in range(0, total, config.shard)
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Explain and judge one shard."""
        from raiaudit.attacks.evasion.base import prepared
        from raiaudit.audit.explanations.methods.views import view_of

        rows = subject.test.take(slice(task.params["start"], task.params["stop"]))
        options = FaithfulnessConfig(**task.config)
        with prepared(subject.classifier):
            view = view_of(subject, rows.inputs, options.baseline)
            target_B = subject.logits(rows.inputs).argmax(1).to(view.x.device)
            columns = _Judge(subject, rows, view, target_B, options).columns()
        predicted = pl.Series(target_B.cpu().numpy(), dtype=pl.Int32)
        return pl.DataFrame(
            {
                "example_id": rows.ids,
                "faithfulness.predicted": predicted,
                **{f"faithfulness.{name}": column for name, column in columns.items()},
            }
        )

    def summarise(
        self, ledger: LedgerReader, subject: Subject, config: FaithfulnessConfig
    ) -> list[Measurement]:
        """Gains over the controls with simultaneous intervals, and every metric's mean."""
        from raiaudit.audit.explanations.quality.faithfulness_summary import measurements

        return measurements(ledger, subject, config)

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: FaithfulnessConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`traces`: curves with bands; `tests`: every metric of every method against every control; `gains`."""
        from raiaudit.audit.explanations.quality.faithfulness_summary import tables

        return tables(ledger, subject, config)


class _Judge:
    """The maps of one shard and what is said of them."""

    def __init__(
        self, subject: Subject, rows: Split, view: View, target_B: Tensor, options: FaithfulnessConfig
    ) -> None:
        from raiaudit.audit.explanations.quality.controls import element_scale

        self.subject, self.rows, self.view, self.target_B = subject, rows, view, target_B
        self.options, self.modality = options, subject.dataset.modality
        self.examples: list[str] = rows.ids.to_list()
        self.present_BF = view.present_BF.cpu().numpy()
        space = getattr(subject.dataset.space, "shape", None)
        self.shape: tuple[int, int] | None = None if space is None else (int(space[1]), int(space[2]))
        self.scale = element_scale(subject, view)

    def rngs(self, *key: str | int) -> list[np.random.Generator]:
        from raiaudit.audit.explanations.quality.explained import generators

        return generators(self.subject.seed, self.examples, *key)

    def columns(self) -> Columns:
        """Columns by `<map>.<what>`."""
        methods, columns = self._methods()
        columns |= self._alone(methods)
        return columns | self._compared({**methods, **self._controls(methods)})

    def _methods(self) -> tuple[dict[str, NDArray[np.float64]], Columns]:
        maps, reasons = {}, {}
        for name in self.options.methods:
            try:
                maps[name] = self._explain(name, self.view)
            except CapabilityError as error:
                reasons[f"{name}.reason"] = pl.Series([str(error)] * len(self.examples), dtype=pl.String)
        return maps, reasons

    def _explain(self, name: str, view: View) -> NDArray[np.float64]:
        from raiaudit.audit.explanations.quality.explained import maps_of

        return maps_of(
            name,
            view,
            self.target_B,
            seed=self.subject.seed,
            examples=self.examples,
            modality=self.modality,
        )

    def _controls(self, methods: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
        from raiaudit.audit.explanations.quality.controls import (
            BLURRED,
            INPUT_CONTROL,
            blurred,
            input_control,
        )

        features = self.present_BF.shape[1]
        found = {
            f"random:{i}": np.stack([rng.random(features) for rng in self.rngs("random", i)])
            for i in range(self.options.random_maps)
        }
        found[INPUT_CONTROL[self.modality]] = input_control(
            self.subject, self.view, self.rows.inputs, self.scale
        )
        if self.modality in BLURRED:
            present_BF = self.present_BF
            found |= {
                f"blurred:{name}": blurred(scores_BF * present_BF, self.shape)
                for name, scores_BF in methods.items()
            }
        return {name: scores_BF * self.present_BF for name, scores_BF in found.items()}

    def _compared(self, maps: Mapping[str, NDArray[np.float64]]) -> Columns:
        """What method and control are both asked: the trace's metrics and infidelity."""
        from raiaudit.audit.explanations.quality.infidelity import infidelity, patch_effects, patches
        from raiaudit.audit.explanations.quality.perturbation import ranking
        from raiaudit.audit.explanations.quality.trace_metrics import TRACE_METRICS
        from raiaudit.audit.explanations.quality.traces import perturb

        ranks = [
            ranking(scores_BF, self.present_BF, self.rngs("ties", name)) for name, scores_BF in maps.items()
        ]
        traces = perturb(self.view, ranks, self.target_B, levels=self.options.levels)
        removed_BSF = patches(
            self.present_BF,
            self.rngs("patches"),
            samples=self.options.patches,
            shape=self.shape,
            ordered=self.modality == "text",
        )
        effects_BS = patch_effects(self.view, removed_BSF, self.target_B)
        columns: Columns = {}
        several: dict[str, list[NDArray[np.float64]]] = {}
        for (name, scores_BF), trace in zip(maps.items(), traces, strict=True):
            found = {metric: spec.of(trace) for metric, spec in TRACE_METRICS.items()}
            found["infidelity"] = infidelity(scores_BF, removed_BSF, effects_BS)
            for what, values in {**found, **_curves(trace)}.items():
                if name.startswith("random:"):
                    several.setdefault(f"random.{what}", []).append(values)
                else:
                    columns[f"{name}.{what}"] = values
        columns |= {name: np.mean(values, axis=0) for name, values in several.items()}
        return {name: _column(values) for name, values in columns.items()}

    def _alone(self, methods: Mapping[str, NDArray[np.float64]]) -> Columns:
        """What is asked of a method alone."""
        from raiaudit.audit.explanations.quality.concentration import complexity, sparseness
        from raiaudit.audit.explanations.quality.localisation import (
            pointing_game,
            relevance_mass,
            relevance_rank,
        )
        from raiaudit.audit.explanations.quality.sensitivity import max_sensitivity

        columns: Columns = {}
        truth_BF = truth_of(self.options.planted, self.view, self.subject)
        for name, scores_BF in methods.items():
            columns[f"{name}.complexity"] = complexity(scores_BF, self.present_BF)
            columns[f"{name}.sparseness"] = sparseness(scores_BF, self.present_BF)
            if self.options.draws:
                columns[f"{name}.max_sensitivity"] = max_sensitivity(
                    lambda view, name=name: self._explain(name, view),
                    self.view,
                    scores_BF,
                    lambda draw: self.rngs("moved", draw),
                    draws=self.options.draws,
                    radius=self.options.radius * self.scale,
                )
            if truth_BF is not None:
                columns[f"{name}.relevance_mass"] = relevance_mass(scores_BF, truth_BF)
                columns[f"{name}.relevance_rank"] = relevance_rank(scores_BF, truth_BF)
                columns[f"{name}.pointing_game"] = pointing_game(scores_BF, truth_BF)
        if truth_BF is not None:
            columns["truth.share"] = truth_BF.sum(axis=1) / np.maximum(self.present_BF.sum(axis=1), 1)
        return {name: _column(values) for name, values in columns.items()}


def _curves(trace: Trace) -> dict[str, NDArray[np.float64]]:
    return {"most": trace.most_BT, "least": trace.least_BT}


def _column(values: NDArray[np.float64]) -> pl.Series:
    """Numbers with null for NaN, or a list of float32 a row."""
    if values.ndim == 1:
        return pl.Series(values, dtype=pl.Float64).fill_nan(None)
    return pl.Series(values.astype(np.float32).tolist(), dtype=pl.List(pl.Float32))
