"""The maps of one shard and their controls, and what is measured of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.explanations.quality.concentration import complexity, sparseness
from raiaudit.audit.explanations.quality.controls import (
    BLURRED,
    INPUT_CONTROL,
    blurred,
    element_scale,
    input_control,
)
from raiaudit.audit.explanations.quality.explained import generators, maps_of
from raiaudit.audit.explanations.quality.infidelity import infidelity, patch_effects, patches
from raiaudit.audit.explanations.quality.localisation import pointing_game, relevance_mass, relevance_rank
from raiaudit.audit.explanations.quality.perturbation import ranking
from raiaudit.audit.explanations.quality.planted import truth_of
from raiaudit.audit.explanations.quality.sensitivity import max_sensitivity
from raiaudit.audit.explanations.quality.trace_metrics import TRACE_METRICS
from raiaudit.audit.explanations.quality.traces import perturb
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from raiaudit.audit.explanations.methods.views import View
    from raiaudit.audit.explanations.quality.faithfulness import FaithfulnessConfig
    from raiaudit.audit.explanations.quality.traces import Trace
    from raiaudit.audit.subject import Subject
    from raiaudit.models.data.dataset import Split

    Columns = dict[str, pl.Series]

__all__ = ["Judge"]


class Judge:
    """Asked for its `columns` while the classifier is prepared for attributions."""

    def __init__(
        self, subject: Subject, rows: Split, view: View, target_B: Tensor, options: FaithfulnessConfig
    ) -> None:

        self.subject, self.rows, self.view, self.target_B = subject, rows, view, target_B
        self.options, self.modality = options, subject.dataset.modality
        self.examples: list[str] = rows.ids.to_list()
        self.present_BF = view.present_BF.cpu().numpy()
        space = getattr(subject.dataset.space, "shape", None)
        self.shape: tuple[int, int] | None = None if space is None else (int(space[1]), int(space[2]))
        self.scale = element_scale(subject, view)
        self.movable = not (view.is_text and view.x.dim() == 2)  # a word is there or not

    def rngs(self, *key: str | int) -> list[np.random.Generator]:
        """A generator for each example."""
        return generators(self.subject.seed, self.examples, *key)

    def columns(self) -> Columns:
        """Columns by `<map>.<what>`."""
        methods, columns = self._methods()
        columns |= self._alone(methods)
        return columns | self._compared({**methods, **self._controls(methods)})

    def _methods(self) -> tuple[dict[str, NDArray[np.float64]], Columns]:
        maps: dict[str, NDArray[np.float64]] = {}
        reasons: Columns = {}
        for name in self.options.methods:
            try:
                maps[name] = self._explain(name, self.view)
            except CapabilityError as error:
                reasons[f"{name}.reason"] = pl.Series([error.problem] * len(self.examples), dtype=pl.String)
        return maps, reasons

    def _explain(self, name: str, view: View) -> NDArray[np.float64]:
        return maps_of(
            name, view, self.target_B, subject=self.subject, examples=self.examples, layer=self.options.layer
        )

    def _controls(self, methods: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
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

        ranks = [
            ranking(_settled(scores_BF), self.present_BF, self.rngs("ties", name))
            for name, scores_BF in maps.items()
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
        columns: dict[str, NDArray[np.float64]] = {}
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

        columns: dict[str, NDArray[np.float64]] = {}
        truth_BF = truth_of(self.options.planted, self.view, self.subject)
        for name, scores_BF in methods.items():
            columns[f"{name}.complexity"] = complexity(scores_BF, self.present_BF)
            columns[f"{name}.sparseness"] = sparseness(scores_BF, self.present_BF)
            if self.options.draws and self.movable:
                columns[f"{name}.max_sensitivity"] = max_sensitivity(
                    partial(self._explain, name),
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


def _settled(scores_BF: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores without the last digits of float32 arithmetic, so that ties are ties whatever the batch."""
    unit_B1 = np.abs(scores_BF).max(axis=1, keepdims=True) * 1e-5
    return np.rint(scores_BF / np.where(unit_B1 > 0, unit_B1, 1))


def _curves(trace: Trace) -> dict[str, NDArray[np.float64]]:
    return {"most": trace.most_BT, "least": trace.least_BT}


def _column(values: NDArray[np.float64]) -> pl.Series:
    """Numbers with null for NaN, or a list of float32 a row."""
    if values.ndim == 1:
        return pl.Series(values, dtype=pl.Float64).fill_nan(None)
    return pl.Series(values.astype(np.float32).tolist(), dtype=pl.List(pl.Float32))
