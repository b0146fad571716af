"""A recipe trained with several seeds, every model evaluated on the test split.

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
from raiaudit.audit.statistics.intervals import Interval, auc_delong, wilson
from raiaudit.audit.statistics.replicates import over_seeds
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
    from raiaudit.audit.statistics.replicates import Spread
    from raiaudit.models.data.dataset import Dataset
    from raiaudit.models.recipe import Adversary, Recipe
    from raiaudit.models.registry import RegisteredModel, Registry
    from raiaudit.models.version import ModelVersion

__all__ = [
    "ROBUST_STEPS",
    "Replicate",
    "Replication",
    "evaluate",
    "replicate",
    "reread",
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

    def interval(self, metric: str) -> Interval:
        """At 95 %, over the test examples: Wilson's, and DeLong's of an AUC."""
        if metric == "auc":
            assert self.auc is not None
            return Interval(self.auc.low, self.auc.high)
        right_N = self.outcomes[metric]
        return wilson(int(right_N.sum()), len(right_N))


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

    def spread(self, metric: str) -> Spread:
        """Mean, standard deviation and 95 % t interval, cut to [0, 1], over the seeds."""
        spread = over_seeds([found.value(metric) for found in self.replicates])
        if spread.low is None or spread.high is None:
            return spread
        return spread._replace(low=max(0.0, spread.low), high=min(1.0, spread.high))

    def only(self, seeds: Sequence[int]) -> Replication:
        """The replicates of these seeds, in this order."""
        by_seed = {found.seed: found for found in self.replicates}
        return Replication(self.name, self.data_digest, tuple(by_seed[seed] for seed in seeds))


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
        made = evaluate(
            obtain(
                registry,
                name,
                recipe,
                dataset,
                seed=seed,
                device=options.device,
                home=home,
                listener=listener,
                aliases=aliases if number == 1 else (),
            ),
            dataset,
            options=options,
            adversary=adversary,
        )
        found.append(made)
        _tell(listener, name, made, number, len(seeds))
    return Replication(name, dataset.digest, tuple(found))


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
    for number, model in enumerate(versions.values(), 1):
        made = evaluate(registry.open_version(model), dataset, options=options, adversary=adversary)
        found.append(made)
        _tell(listener, model.name, made, number, len(versions))
    return Replication(model.name, dataset.digest, tuple(found))


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
