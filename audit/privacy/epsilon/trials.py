"""Every private model of the same data that the registry holds: choosing among them spends the ε of all.

A guarantee is about one training run. Whoever trains with ten settings and keeps the best has shown the
data to ten mechanisms; together they are (Σε, Σδ)-DP (Dwork et al., doi:10.1007/11761679_29). Papernot and
Steinke (arXiv:2110.03620) give less for a number of trials drawn at random, which a registry cannot know.
What was trained and never registered is not seen here.

Composition is of mechanisms whose noise is independent. Two runs of one seed draw the same noise, scaled by
their σ·C: weighed against each other, the noise of their first steps cancels. No sum bounds such trials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from raiaudit.audit.subject import Subject
    from raiaudit.models.version import TrainingRecord

__all__ = ["PREFIX", "SCHEMA", "private_trials", "why_no_sum"]

PREFIX = "accounting.trial."
SCHEMA = {
    "model": pl.String,
    "version": pl.Int64,
    "epsilon": pl.Float64,
    "delta": pl.Float64,
    "seed": pl.Int64,
    "certified": pl.Boolean,
}


def private_trials(subject: Subject) -> pl.DataFrame:
    """A row a private model trained on these data, the audited one among them; equal weights count once."""
    assert subject.registry is not None
    registry = subject.registry()
    found: dict[str, tuple[str, int, TrainingRecord]] = {
        subject.record.weights_digest: (subject.name, subject.version.version, subject.record)
    }
    for listed in registry.models():
        of_these_data = listed.tags.get("raiaudit.data_digest") == subject.dataset.digest
        if of_these_data and listed.tags.get("raiaudit.recipe") == "private":
            record = registry.record(listed)
            found.setdefault(record.weights_digest, (listed.name, listed.version, record))
    rows = [
        (
            name,
            version,
            record.privacy.epsilon_pld,
            record.privacy.delta,
            record.seed,
            record.privacy.certified,
        )
        for name, version, record in found.values()
        if record.privacy is not None
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").sort("model", "version")


def why_no_sum(trials: pl.DataFrame) -> str:
    """Why the ε of the trials do not add up: one is no guarantee, or noise is shared; "" if they do."""
    doubted = trials.filter(~pl.col("certified"))
    if not doubted.is_empty():
        names = ", ".join(f"{name} version {version}" for name, version in doubted["model", "version"].rows())
        return f"the training runs of private models of these data did not certify their ε: {names}"
    seeds = trials.drop_nulls("seed").group_by("seed", maintain_order=True).len().filter(pl.col("len") > 1)
    if seeds.is_empty():
        return ""
    told = ", ".join(f"{count} with seed {seed}" for seed, count in seeds.iter_rows())
    return (
        f"private models of these data share a seed ({told}), so that their noise is the same but for its "
        "scale and cancels between them: no sum of ε bounds what they show together; train each with a seed "
        "of its own"
    )
