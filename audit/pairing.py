"""Two recipes held against each other: the same seeds, the same test examples.

A registered model stands for all versions that differ from it in the seed alone. The honest unit is the
seed: over seeds a difference is one between recipes, over test examples it is one between these models.

Shapes: S seeds, N test examples; outcomes_SN true where the model is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from raiaudit.audit.statistics.replicates import over_examples, paired_over_seeds
from raiaudit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from raiaudit.audit.replication import Replication
    from raiaudit.audit.statistics.replicates import PairedTest, Spread
    from raiaudit.models.recipe import Adversary
    from raiaudit.models.registry import RegisteredModel, Registry

__all__ = ["PairedComparison", "SharedVersions", "compare", "seed_versions", "shared_versions"]

_SHARED_TAGS = ("raiaudit.data_digest", "raiaudit.code", "raiaudit.recipe", "raiaudit.architecture")


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


@dataclass(frozen=True, slots=True)
class SharedVersions:
    """The versions of two models by the seeds they share, the data both were trained on, and the adversary
    that both were trained against, if it is the same ball.
    """

    data_name: str
    a: dict[int, RegisteredModel]
    b: dict[int, RegisteredModel]
    adversary: Adversary | None


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


def shared_versions(registry: Registry, a: str, b: str) -> SharedVersions:
    """What `compare` needs of the models that `a` and `b` refer to.

    Raises `UsageError` when the data differ, no seed is shared, or a model has no recipe.
    """
    records = [registry.record(registry.find(reference)) for reference in (a, b)]
    if records[0].data_digest != records[1].data_digest:
        names = " / ".join(record.data_name or "unknown" for record in records)
        raise _other_data(a, b, names)
    by_seed = [seed_versions(registry, reference) for reference in (a, b)]
    shared = _shared(a, by_seed[0], b, by_seed[1])
    adversaries = [record.recipe.adversary for record in records if record.recipe is not None]
    balls = {(found.norm, found.eps) if found is not None else None for found in adversaries}
    return SharedVersions(
        data_name=records[0].data_name or "",
        a={seed: by_seed[0][seed] for seed in shared},
        b={seed: by_seed[1][seed] for seed in shared},
        adversary=adversaries[0] if len(balls) == 1 else None,
    )


def compare(a: Replication, b: Replication) -> list[PairedComparison]:
    """a − b by metric, on the seeds both have and the same test examples, with 95 % intervals.

    Raises `UsageError` when the data differ or no seed is shared.
    """
    if a.data_digest != b.data_digest:
        raise _other_data(a.name, b.name, "their digests differ")
    shared = _shared(a.name, a.seeds, b.name, b.seeds)
    a, b = a.only(shared), b.only(shared)
    return [_compared(a, b, metric) for metric in a.metrics if metric in b.metrics]


def _compared(a: Replication, b: Replication, metric: str) -> PairedComparison:
    a_S, b_S = ([found.value(metric) for found in side.replicates] for side in (a, b))
    over, by_seed = None, []
    if metric != "auc":
        a_SN, b_SN = (np.stack([found.outcomes[metric] for found in side.replicates]) for side in (a, b))
        over = over_examples(a_SN, b_SN)
        by_seed = [over_examples(a_N[None], b_N[None]) for a_N, b_N in zip(a_SN, b_SN, strict=True)]
    return PairedComparison(
        metric=metric,
        seeds=a.seeds,
        examples=a.examples,
        a=a.spread(metric),
        b=b.spread(metric),
        between_seeds=paired_over_seeds(a_S, b_S),
        between_examples=over,
        by_seed=tuple(by_seed),
    )


def _shared(a: str, seeds_a: Iterable[int], b: str, seeds_b: Iterable[int]) -> list[int]:
    ours, theirs = list(seeds_a), list(seeds_b)
    shared = [seed for seed in ours if seed in theirs]
    if not shared:
        listed = [", ".join(map(str, seeds)) for seeds in (ours, theirs)]
        raise UsageError(
            f"{a} (seeds {listed[0]}) and {b} (seeds {listed[1]}) share no seed",
            remedy="train both with the same: raiaudit models train SPEC --seeds 5",
        )
    return shared


def _other_data(a: str, b: str, why: str) -> UsageError:
    return UsageError(
        f"not comparable: {a} and {b} were trained on different data ({why})",
        remedy="train both on the same data",
    )
