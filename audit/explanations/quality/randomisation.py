"""Do the maps depend on the model? Its weights are drawn anew, layer by layer, and the maps compared.

The cascade of J. Adebayo et al., arXiv:1810.03292 (`reinitialise`): from the output layer towards the input,
one more layer forgets at each stage, until nothing is left of training. The class that the trained model
predicted is explained throughout. A map that hardly changes (guided backpropagation's) shows the input, not
the model. `randomisation_similarity` is the rank correlation with the trained model's map when all is random;
beside it that of the absolute values, SSIM (images), and what two untrained models' maps have in common by
chance. With `data` the labels are randomised too (`data_randomisation`). Guided backpropagation goes along as
a known-bad method: a test that it passes has no power here.

Ledger columns: `randomisation.layers` (cumulated, from the output), and for every method M
`randomisation.<M>.<similarity>`, stages × seeds flattened by stage, and `.<similarity>_chance`, a seed each:
with the map of the next seed's random model; `randomisation.<M>.reason` where there are no maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl
from pydantic import Field

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.explanations.options import MapsConfig, MethodNames
from raiaudit.audit.explanations.quality.explained import KNOWN_BAD
from raiaudit.audit.performance.predictions import shards
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.explanations.methods.views import View
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject
    from raiaudit.models.architectures.classifier import Classifier
    from raiaudit.models.data.dataset import Split

    Maps = NDArray[np.float64]

__all__ = ["Cascade", "Randomisation", "RandomisationConfig"]


class RandomisationConfig(MapsConfig):
    """Which maps are put to the test, how often, and at how many depths."""

    methods: MethodNames = Field(
        default=("integrated_gradients", "saliency", "input_x_gradient"), description="attribution methods"
    )
    examples: int = Field(default=50, ge=1, description="explain the first n test examples")
    seeds: int = Field(default=5, ge=2, description="random models")
    stages: int = Field(
        default=4, ge=2, description="depths of the cascade looked at, from the output layer to all layers"
    )
    data: bool = Field(
        default=False,
        description="train the recipe twice more, on permuted labels and as it is: do maps depend on labels?",
    )


class Randomisation:
    """Maps of the model against maps of models that know less and less."""

    id: ClassVar[str] = "explanations.randomisation"
    version: ClassVar[int] = 2
    question: ClassVar[str] = "Do the maps depend on what the model has learnt?"
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.LOGITS, Capability.GRADIENTS, Capability.WEIGHTS}
    )
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = RandomisationConfig

    def tasks(self, subject: Subject, config: RandomisationConfig) -> Sequence[Task]:
        """Shards of rows; then both trainings at once, where they are asked for and can be had.

        Raises `UnknownNameError` for a layer that is not there.
        """
        config.require_layer(subject)
        options = config.model_dump(mode="json", exclude={"examples", "shard", "data"})
        found = shards(
            self.id,
            self.version,
            subject,
            options,
            name="randomisation",
            examples=config.examples,
            size=config.shard,
        )
        if not config.data or Capability.RETRAINING not in subject.capabilities:
            return found
        asked = {name: options[name] for name in ("methods", "baseline", "layer")}
        stop = min(config.examples, len(subject.test))
        return [*found, Task(self.id, "data", {"start": 0, "stop": stop}, asked, self.version)]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Explain one shard by the model and by all the random ones."""
        rows = subject.test.take(slice(task.params["start"], task.params["stop"]))
        shard = Cascade(subject, rows, RandomisationConfig(**task.config))
        if task.name == "data":
            from raiaudit.audit.explanations.quality.data_randomisation import data_rows

            return data_rows(shard)
        columns = shard.columns()
        return pl.DataFrame(
            {
                "example_id": rows.ids,
                **{f"randomisation.{name}": column for name, column in columns.items()},
            }
        )

    def summarise(
        self, ledger: LedgerReader, subject: Subject, config: RandomisationConfig
    ) -> list[Measurement]:
        """Similarity at full randomisation, with an interval over seeds and examples; and to labels'."""
        from raiaudit.audit.explanations.quality.data_randomisation import data_measurements
        from raiaudit.audit.explanations.quality.randomisation_summary import measurements

        of_labels = data_measurements(ledger, subject, config.methods) if config.data else []
        return [*measurements(ledger, subject, config), *of_labels]

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: RandomisationConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`cascade`: mean similarity by method and stage, with its interval and what chance gives.

        `labels`, with `data`: similarity to the maps of models trained on shuffled and on the right labels.
        """
        from raiaudit.audit.explanations.quality.data_randomisation import data_measurements, label_table
        from raiaudit.audit.explanations.quality.randomisation_summary import cascade

        found = {"cascade": cascade(ledger, subject, config)}
        if config.data:
            labels = label_table(data_measurements(ledger, subject, config.methods))
            found |= {"labels": labels} if labels.height else {}
        return found


class Cascade:
    """One shard under all random models."""

    def __init__(self, subject: Subject, rows: Split, options: RandomisationConfig) -> None:
        from raiaudit.audit.explanations.methods.views import view_of
        from raiaudit.audit.explanations.quality.reinitialise import layers_from_output

        self.subject, self.rows, self.options = subject, rows, options
        self.modality = subject.dataset.modality
        self.view = view_of(subject, rows.inputs, options.baseline)
        self.present_BF = self.view.present_BF.cpu().numpy()
        self.target_B = subject.logits(rows.inputs).argmax(1).to(self.view.x.device)
        self.layers = layers_from_output(
            subject.classifier, lambda: subject.logits(rows.inputs[:1], batch_size=1)
        )
        ends = np.linspace(1, len(self.layers), min(options.stages, len(self.layers))).round().astype(int)
        self.ends: list[int] = np.unique(ends).tolist()
        shape = getattr(subject.dataset.space, "shape", None)
        self.shape: tuple[int, int] | None = None if shape is None else (int(shape[1]), int(shape[2]))

    def columns(self) -> dict[str, pl.Series]:
        """By `<method>.<similarity>`."""
        n = len(self.rows)
        names = [f"{end}: {self.layers[end - 1]}" for end in self.ends]
        columns = {"layers": pl.Series([names] * n, dtype=pl.List(pl.String))}
        own: dict[str, Maps] = {}
        for method in dict.fromkeys([*self.options.methods, KNOWN_BAD]):
            try:
                own[method] = self.maps(method, self.subject.classifier, self.view)
            except CapabilityError as error:
                columns[f"{method}.reason"] = pl.Series([error.problem] * n, dtype=pl.String)
        return columns | {
            name: pl.Series(np.stack(values, axis=1).tolist(), dtype=pl.List(pl.Float64))
            for name, values in self._alike_at_all_stages(own).items()
        }

    def _alike_at_all_stages(self, own: Mapping[str, Maps]) -> dict[str, list[Maps]]:
        """Similarities by `<method>.<similarity>`, one array of examples a stage and seed."""
        found: dict[str, list[Maps]] = {}
        last: dict[str, list[Maps]] = {method: [] for method in own}
        for end in self.ends:
            for seed in range(self.options.seeds):
                network, view = self._forgetful(end, seed)
                for method, trained in own.items():
                    maps = self.maps(method, network, view)
                    for name, values in self.alike(trained, maps).items():
                        found.setdefault(f"{method}.{name}", []).append(values)
                    if end == self.ends[-1]:
                        last[method].append(maps)
        for method, maps_of_seeds in last.items():
            for maps, other in zip(maps_of_seeds, [*maps_of_seeds[1:], maps_of_seeds[0]], strict=True):
                for name, values in self.alike(maps, other).items():
                    found.setdefault(f"{method}.{name}_chance", []).append(values)
        return found

    def _forgetful(self, end: int, seed: int) -> tuple[Classifier, View]:
        """The model without its last `end` layers' weights, and the view that asks it."""
        from raiaudit.audit.explanations.copies import copied
        from raiaudit.audit.explanations.quality.reinitialise import reinitialise

        network = copied(self.subject.classifier)
        for layer in self.layers[:end]:
            reinitialise(network, layer, seed=(self.subject.seed, seed))
        return network, self.view_by(network)

    def view_by(self, network: Classifier) -> View:
        """The view that asks another network."""
        from raiaudit.audit.explanations.methods.views import view_of

        if self.modality != "text":
            return replace(self.view, logits=lambda x, _rows: network(x), network=network)
        other = replace(self.subject, version=replace(self.subject.version, classifier=network))
        return view_of(other, self.rows.inputs, self.options.baseline)

    def maps(self, method: str, network: Classifier, view: View) -> Maps:
        """The maps B×F of the trained model's classes."""
        from raiaudit.attacks.evasion.base import prepared
        from raiaudit.audit.explanations.quality.explained import maps_of

        with prepared(network):
            examples = self.rows.ids.to_list()
            return maps_of(
                method,
                view,
                self.target_B,
                subject=self.subject,
                examples=examples,
                layer=self.options.layer,
            )

    def alike(self, a_BF: Maps, b_BF: Maps) -> dict[str, Maps]:
        """By the name of the similarity, one value an example."""
        from raiaudit.audit.explanations.quality.similarity import spearman, ssim

        found = {
            "absolute": spearman(np.abs(a_BF), np.abs(b_BF), self.present_BF),
            "signed": spearman(a_BF, b_BF, self.present_BF),
        }
        if self.shape is not None:
            found["ssim"] = ssim(a_BF, b_BF, self.shape)
        return found
