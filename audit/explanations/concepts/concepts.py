"""Concepts: does a class become more likely along a human concept, and more than chance would have it?

Testing with concept activation vectors (arXiv:1711.11279); `vectors` and `tcav` say how, `layers` what a
layer's vector is. Concepts and their counterparts come from training examples, the classes' gradients from
audited ones. A vector that tells held-out examples of the concept from others no better than chance means
nothing: its scores are undefined. P-values are adjusted over classes × concepts × layers
(Benjamini–Hochberg).

Ledger columns, a layer each: `concepts.activation.<layer>` of training examples, with `concepts.held` (the
concepts it is of), `.drawn` (those it speaks for) and `.random` (drawn whatever its concepts);
`concepts.gradient.<layer>` of audited examples, of the log-odds of their label, with `concepts.label`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.explanations.concepts.concept_sets import ConceptSet, concept_sets, holding, sampled
from raiaudit.audit.explanations.concepts.findings import findings, measurements, table
from raiaudit.audit.explanations.concepts.layers import PENULTIMATE
from raiaudit.audit.explanations.concepts.vectors import Kind
from raiaudit.audit.explanations.layers import named_layer
from raiaudit.errors import UnknownNameError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from raiaudit.audit.explanations.concepts.findings import Finding
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject
    from raiaudit.models.data.dataset import Inputs

__all__ = ["Concepts", "ConceptsConfig"]

_BATCH = 256


class ConceptsConfig(CheckConfig):
    """Which concepts, at which layers, from how many examples."""

    concepts: dict[str, ConceptSet] | None = Field(
        default=None,
        description="concepts by name; default: every level of every group column, else the classes",
    )
    layers: tuple[str, ...] = Field(
        default=(PENULTIMATE,), min_length=1, description="penultimate, or names of the model's modules"
    )
    vectors: Kind = Field(
        default="classifier",
        description="classifier (ridge regression, as TCAV has it) or pattern (the difference of means)",
    )
    classes: tuple[str, ...] | None = Field(default=None, description="classes asked about; default: all")
    examples: int = Field(default=500, ge=2, description="the first n test examples speak for their classes")
    concept_examples: int = Field(default=300, ge=2, description="training examples of one concept, at most")
    counterparts: int = Field(
        default=1000, ge=4, description="random training examples concepts are held against"
    )
    fewest: int = Field(default=20, ge=4, description="fewer examples of a concept or a class make no score")
    runs: int = Field(default=200, ge=20, description="vectors drawn for accuracy and interval")
    shard: int = Field(default=250, ge=1, description="test examples in one task")


class Concepts:
    """One task for the concepts' examples, and one a shard of audited examples."""

    id: ClassVar[str] = "explanations.concepts"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "Which human concepts make a class more or less likely?"
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.LOGITS, Capability.GRADIENTS, Capability.WEIGHTS}
    )
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = ConceptsConfig

    def tasks(self, subject: Subject, config: ConceptsConfig) -> Sequence[Task]:
        """The concepts first. Raises `UsageError` for a layer, class or concept that is not there."""
        _refuse_unknown(subject, config)
        total = min(config.examples, len(subject.test))
        layers = list(config.layers)
        drawn = config.model_dump(
            mode="json", by_alias=True, include={"concepts", "layers", "concept_examples", "counterparts"}
        )
        return [
            Task(check=self.id, name="concepts", config=drawn, version=self.version),
            *(
                Task(
                    check=self.id,
                    name=f"classes-{start:05d}",
                    params={"start": start, "stop": min(start + config.shard, total)},
                    config={"layers": layers},
                    version=self.version,
                )
                for start in range(0, total, config.shard)
            ),
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Activations of concepts and counterparts, or gradients of audited examples."""
        return _classes(task, subject) if "start" in task.params else _concepts(task, subject)

    def summarise(self, ledger: LedgerReader, subject: Subject, config: ConceptsConfig) -> list[Measurement]:
        """Scores and p-values by class, concept and layer; `cav_accuracy` by concept and layer."""
        return measurements(self.id, self._found(ledger, subject, config))

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: ConceptsConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`scores`: class, concept, layer, value, low, high, p_value (adjusted), accuracy, n, reason."""
        return {"scores": table(self._found(ledger, subject, config))}

    def _found(self, ledger: LedgerReader, subject: Subject, config: ConceptsConfig) -> list[Finding]:
        classes = subject.dataset.classes
        return findings(
            ledger,
            classes={name: classes.index(name) for name in config.classes or classes},
            concepts=tuple(concept_sets(subject.dataset, config.concepts)),
            layers=config.layers,
            vectors=config.vectors,
            fewest=config.fewest,
            runs=config.runs,
            seed=subject.seed,
        )


def _refuse_unknown(subject: Subject, config: ConceptsConfig) -> None:
    """Before anything runs; words are looked for later, in texts that are many."""
    for name in config.classes or ():
        if name not in subject.dataset.classes:
            raise UnknownNameError("class", name, subject.dataset.classes, where="with.classes")
    for layer in config.layers:
        if layer != PENULTIMATE:
            named_layer(subject.classifier, layer, besides=(PENULTIMATE,), where="with.layers")
    train = subject.dataset.splits["train"]
    for name, concept in (config.concepts or {}).items():
        if not concept.words or subject.dataset.modality != "text":
            holding(subject.dataset, train, concept, name)


def _concepts(task: Task, subject: Subject) -> pl.DataFrame:
    dataset, options = subject.dataset, task.config
    train = dataset.splits["train"]
    asked = options["concepts"]
    sets = concept_sets(dataset, asked and {name: ConceptSet.model_validate(asked[name]) for name in asked})
    held = {name: holding(dataset, train, concept, name) for name, concept in sets.items()}
    drawn = sampled(
        np.ones(len(train), dtype=bool), options["counterparts"], seed=subject.seed, name="counterparts"
    )
    own = {
        name: sampled(held_N, options["concept_examples"], seed=subject.seed, name=name)
        for name, held_N in held.items()
    }
    chosen = np.unique(np.concatenate([drawn, *own.values()]))
    taken = train.take(chosen)
    # An example drawn for a rare concept would be too frequent among those of the others it is of.
    speaks = {name: np.isin(chosen, rows) for name, rows in own.items()}
    return pl.DataFrame(
        {
            "example_id": taken.ids,
            "concepts.drawn": _names(speaks),
            "concepts.held": _names({name: held_N[chosen] for name, held_N in held.items()}),
            "concepts.random": np.isin(chosen, drawn),
            **_columns("activation", subject, taken.inputs, options["layers"]),
        }
    )


def _names(true_N: Mapping[str, NDArray[np.bool_]]) -> pl.Series:
    """The names that are true of each of N rows."""
    table = pl.DataFrame({name: pl.Series(values) for name, values in true_N.items()})
    names = [pl.when(pl.col(name)).then(pl.lit(name)) for name in true_N]
    return table.select(pl.concat_list(names).list.drop_nulls()).to_series()


def _classes(task: Task, subject: Subject) -> pl.DataFrame:
    rows = subject.test.take(slice(task.params["start"], task.params["stop"]))
    return pl.DataFrame(
        {
            "example_id": rows.ids,
            "concepts.label": pl.Series(rows.labels, dtype=pl.Int32),
            **_columns("gradient", subject, rows.inputs, task.config["layers"], rows.labels),
        }
    )


def _columns(
    what: Literal["activation", "gradient"],
    subject: Subject,
    inputs: Inputs,
    layers: Sequence[str],
    labels_N: NDArray[np.int64] | None = None,
) -> dict[str, pl.Series]:
    """One list of D floats a row and layer; gradients where labels are given."""
    import torch

    from raiaudit.attacks.evasion.base import prepared
    from raiaudit.audit.explanations.concepts.layers import activations, gradients
    from raiaudit.models.data.dataset import take

    found: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    with prepared(subject.classifier):
        for start in range(0, len(inputs), _BATCH):
            rows = slice(start, start + _BATCH)
            x = subject.tensor(take(inputs, rows))
            for layer in layers:
                if labels_N is None:
                    part = activations(subject.classifier, x, layer)
                else:
                    target = torch.from_numpy(labels_N[rows]).to(x.device)
                    part = gradients(subject.classifier, x, target, layer)
                found[layer].append(part.cpu())
    return {
        f"concepts.{what}.{layer}": pl.Series(torch.cat(parts).numpy()).arr.to_list()
        for layer, parts in found.items()
    }
