"""A recipe trained with several seeds, and two recipes held against each other, on the test split.

Every seed's model is a version in the registry, found again when it is there. What is kept of each are its
outcomes on the test examples; the model itself is let go before the next one is loaded.

Shapes: S seeds, N test examples; outcomes_SN true where the model is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from raiaudit.audit.performance.predictions import predict, shards
from raiaudit.audit.resolution import obtain
from raiaudit.audit.statistics.intervals import auc_delong
from raiaudit.audit.statistics.replicates import over_examples, over_seeds, paired_over_seeds
from raiaudit.audit.subject import Subject
from raiaudit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from raiaudit.audit.journal import Listener
    from raiaudit.audit.performance.predictions import Predictions
    from raiaudit.audit.spec import RunOptions
    from raiaudit.audit.statistics.intervals import AucEstimate
    from raiaudit.audit.statistics.replicates import PairedTest, Spread
    from raiaudit.models.data.dataset import Dataset
    from raiaudit.models.recipe import Adversary, Recipe
    from raiaudit.models.registry import RegisteredModel, Registry
    from raiaudit.models.version import ModelVersion

__all__ = [
    "ROBUST_STEPS",
    "PairedComparison",
    "Replicate",
    "Replication",
    "compare",
    "evaluate",
    "replicate",
    "reread",
    "seed_versions",
]

ROBUST_STEPS = 20
"""Of the PGD behind `robust_accuracy`: what comparing recipes needs, not what an audit does."""


@dataclass(frozen=True, slots=True)
class Replicate:
    """One seed's model on N test examples: outcomes_N by metric, and the AUC where there are two classes."""

    seed: int
    version: int
    outcomes: Mapping[str, NDArray[np.bool_]]
    auc: AucEstimate | None

    def value(self, metric: str) -> float:
        """`accuracy`, `robust_accuracy` or `auc`."""
        if metric == "auc":
            assert self.auc is not None
            assert self.auc.value is not None
            return self.auc.value
        return float(self.outcomes[metric].mean())


@dataclass(frozen=True, slots=True)
class Replication:
    """The models of one recipe on one data set, by seed."""

    name: str
    data_digest: str
    replicates: tuple[Replicate, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """What was measured of every model."""
        first = self.replicates[0]
        return (*first.outcomes, *(["auc"] if first.auc is not None else []))

    @property
    def examples(self) -> int:
        """N."""
        return len(self.replicates[0].outcomes["accuracy"])

    @property
    def seeds(self) -> tuple[int, ...]:
        """In the order of the replicates."""
        return tuple(found.seed for found in self.replicates)

    def spread(self, metric: str, confidence: float = 0.95) -> Spread:
        """Mean, standard deviation and t interval over the seeds."""
        return over_seeds([found.value(metric) for found in self.replicates], confidence)

    def only(self, seeds: Sequence[int]) -> Replication:
        """The replicates of these seeds, in this order."""
        by_seed = {found.seed: found for found in self.replicates}
        return Replication(self.name, self.data_digest, tuple(by_seed[seed] for seed in seeds))


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """a − b of one metric: over the seeds (what holds for the recipes), over the examples (what holds for
    these models; None of an AUC), and of each seed's two models over the examples.
    """

    metric: str
    seeds: tuple[int, ...]
    examples: int
    a: Spread
    b: Spread
    between_seeds: PairedTest
    between_examples: PairedTest | None
    by_seed: tuple[PairedTest, ...]


def replicate(
    registry: Registry,
    name: str,
    recipe: Recipe,
    dataset: Dataset,
    *,
    seeds: Sequence[int],
    options: RunOptions,
    home: Path,
    listener: Listener,
    aliases: Sequence[str] = ("candidate",),
    adversary: Adversary | None = None,
) -> Replication:
    """Train what the registry lacks and evaluate each; the first seed gets the aliases when it is trained.

    With `adversary`, also its accuracy within that ball.
    """
    found = []
    for number, seed in enumerate(seeds, 1):
        version = obtain(
            registry,
            name,
            recipe,
            dataset,
            seed=seed,
            device=options.device,
            home=home,
            listener=listener,
            aliases=aliases if number == 1 else (),
        )
        found.append(evaluate(version, dataset, options=options, adversary=adversary))
        _tell(listener, name, found[-1], number, len(seeds))
    return Replication(name, dataset.digest, tuple(found))


def seed_versions(registry: Registry, reference: str) -> dict[int, RegisteredModel]:
    """Seed → the version that differs from the referenced one in nothing but its seed.

    Raises `UsageError` for a model that was not trained from a recipe.
    """
    model = registry.find(reference)
    record = registry.record(model)
    if record.recipe is None or record.seed is None:
        raise UsageError(
            f"{reference} was not trained here: it has no recipe and no seeds",
            remedy="compare models that `raiaudit models train` made",
        )
    found: dict[int, RegisteredModel] = {record.seed: model}
    for other in registry.versions(model.name):
        if any(other.tags.get(tag) != model.tags.get(tag) for tag in _SHARED_TAGS):
            continue
        theirs = registry.record(other)
        if theirs.recipe == record.recipe and theirs.seed is not None:
            found.setdefault(theirs.seed, other)
    return dict(sorted(found.items()))


_SHARED_TAGS = ("raiaudit.data_digest", "raiaudit.code", "raiaudit.recipe", "raiaudit.architecture")


def reread(
    registry: Registry,
    versions: Mapping[int, RegisteredModel],
    dataset: Dataset,
    *,
    options: RunOptions,
    listener: Listener,
    adversary: Adversary | None = None,
) -> Replication:
    """Evaluate registered versions, given by seed."""
    found = []
    for number, (_seed, model) in enumerate(versions.items(), 1):
        version = registry.open_version(model)
        found.append(evaluate(version, dataset, options=options, adversary=adversary))
        _tell(listener, model.name, found[-1], number, len(versions))
    return Replication(version.name, dataset.digest, tuple(found))


def evaluate(
    version: ModelVersion, dataset: Dataset, *, options: RunOptions, adversary: Adversary | None = None
) -> Replicate:
    """Outcomes on the test split (its first `options.limit` examples).

    `robust_accuracy` is against PGD from a random start that knows the model, within the adversary's ball.
    Raises `UsageError` for a model that was trained on other data, and `CapabilityError` for NaN answers.
    """
    record = version.record
    if record.data_digest != dataset.digest:
        raise UsageError(
            f"{version.name} version {version.version} was trained on other data than this {dataset.name}",
            remedy="give the spec of the data it was trained on, or train it anew",
        )
    seed = record.seed or 0
    subject = Subject(
        name=version.name,
        dataset=dataset,
        record=record,
        version=version,
        seed=seed,
        device_name=options.device,
        limit=options.limit,
    )
    parts = [predict(subject, task) for task in shards("performance.accuracy", 1, subject)]
    outcomes = {"accuracy": np.concatenate([part.correct for part in parts])}
    if adversary is not None:
        outcomes["robust_accuracy"] = np.concatenate(list(_withstood(subject, adversary)))
    auc = None
    if len(dataset.classes) == 2:
        log_odds_N = np.concatenate([_log_odds(part) for part in parts])
        labels_N = subject.test.labels
        auc = auc_delong(log_odds_N[labels_N == 1], log_odds_N[labels_N == 0])
    both_seen = auc is not None and auc.value is not None
    return Replicate(seed, version.version, outcomes, auc if both_seen else None)


def compare(a: Replication, b: Replication, *, confidence: float = 0.95) -> list[PairedComparison]:
    """a − b by metric, on the seeds both have and the same test examples.

    Raises `UsageError` when the data differ or no seed is shared.
    """
    if a.data_digest != b.data_digest:
        raise UsageError(f"not comparable: {a.name} and {b.name} were trained on different data")
    shared = [seed for seed in a.seeds if seed in b.seeds]
    if not shared:
        raise UsageError(
            f"{a.name} (seeds {_listed(a.seeds)}) and {b.name} (seeds {_listed(b.seeds)}) share no seed",
            remedy="train both with the same: raiaudit models train SPEC --seeds 5",
        )
    a, b = a.only(shared), b.only(shared)
    return [_compared(a, b, metric, confidence) for metric in a.metrics if metric in b.metrics]


def _compared(a: Replication, b: Replication, metric: str, confidence: float) -> PairedComparison:
    a_S, b_S = ([found.value(metric) for found in side.replicates] for side in (a, b))
    over, by_seed = None, []
    if metric != "auc":
        a_SN, b_SN = (np.stack([found.outcomes[metric] for found in side.replicates]) for side in (a, b))
        over = over_examples(a_SN, b_SN, confidence)
        by_seed = [
            over_examples(a_N[None], b_N[None], confidence) for a_N, b_N in zip(a_SN, b_SN, strict=True)
        ]
    return PairedComparison(
        metric=metric,
        seeds=a.seeds,
        examples=a.examples,
        a=a.spread(metric, confidence),
        b=b.spread(metric, confidence),
        between_seeds=paired_over_seeds(a_S, b_S, confidence),
        between_examples=over,
        by_seed=tuple(by_seed),
    )


def _withstood(subject: Subject, adversary: Adversary) -> Iterator[NDArray[np.bool_]]:
    """Whether the model stays right, shard by shard."""
    import torch

    from raiaudit.attacks.evasion import EVASION
    from raiaudit.attacks.threats import ThreatModel

    name = "projected_table" if subject.dataset.modality == "tabular" else "pgd"
    attack = EVASION[name](steps=ROBUST_STEPS)
    threat = ThreatModel(norm=adversary.norm, eps=adversary.eps)
    for task in shards("robustness.evasion", 1, subject):
        start, stop = task.params["start"], task.params["stop"]
        rows = subject.test.take(slice(start, stop))
        y_B = torch.from_numpy(rows.labels).to(subject.device)
        result = attack(
            subject.classifier,
            subject.tensor(rows.inputs),
            y_B,
            threat,
            space=subject.dataset.space,
            seed=subject.seed,
            ids=range(start, stop),
        )
        yield ~result.broken_B.cpu().numpy()


def _log_odds(part: Predictions) -> NDArray[np.float64]:
    """log P(class 1) − log P(class 0)."""
    assert part.log_probabilities_NK is not None, "a model with a recipe gives scores"
    return part.log_probabilities_NK[:, 1] - part.log_probabilities_NK[:, 0]


def _tell(listener: Listener, name: str, found: Replicate, number: int, seeds: int) -> None:
    text = f"{name}: seed {found.seed} ({number} of {seeds}), version {found.version}, test accuracy "
    listener({"event": "note", "model": name, "text": f"{text}{found.value('accuracy'):.4f}"})


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
