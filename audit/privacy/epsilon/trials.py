"""Every private model of the same data that the registry holds: choosing among them spends the ε of all.

A guarantee is about one training run. Whoever trains with ten settings and keeps the best has shown the
data to ten mechanisms; together they are (Σε, Σδ)-DP (Dwork et al., doi:10.1007/11761679_29). Papernot and
Steinke (arXiv:2110.03620) give less for a number of trials drawn at random, which a registry cannot know.
What was trained and never registered is not seen here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from raiaudit.audit.subject import Subject
    from raiaudit.models.version import TrainingRecord

__all__ = ["PREFIX", "SCHEMA", "private_trials"]

PREFIX = "accounting.trial."
SCHEMA = {"model": pl.String, "version": pl.Int64, "epsilon": pl.Float64, "delta": pl.Float64}


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
        (name, version, record.privacy.epsilon_pld, record.privacy.delta)
        for name, version, record in found.values()
        if record.privacy is not None
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").sort("model", "version")
