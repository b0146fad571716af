"""The privacy onion: what removing the most exposed members exposes next (arXiv:2206.10469).

The target's recipe is trained again, with the same seed, without the most exposed share of the members, and
once more without as many members drawn at random. An example that stayed in both times, and was below the
threshold before, is *newly exposed* when its score is above the same threshold now. Training again moves
scores up and down by itself; the random removal shows how much. What removal of the exposed does beyond that
is the paired difference over the same members, tested exactly (McNemar's test).

Shadow models are those of the whole pool: of what remains, they tell nearly the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raiaudit.audit.check import Task
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.privacy.inference.membership_summary import membership_scores
from raiaudit.audit.privacy.risk.exposed_examples import ranked_members
from raiaudit.audit.statistics.intervals import clopper_pearson, paired_difference
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.audit.statistics.replicates import exchange_test

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.privacy.inference.membership_summary import Attack
    from raiaudit.audit.subject import Subject

__all__ = ["REMOVALS", "newly_exposed", "onion_measurements", "onion_tasks", "peel"]

REMOVALS = ("exposed", "random")


def onion_tasks(
    check: str, version: int, attack: Attack, scores: pl.DataFrame, share: float, seed: int
) -> list[Task]:
    """Train without the most exposed `share` of the members, and without as many at random."""
    members = ranked_members(scores)["example_id"].to_list()
    count = min(len(members) - 1, max(1, round(share * len(members))))
    drawn = keyed_rng(seed, check, "onion", "random").permutation(len(members))[:count]
    removed = {"exposed": members[:count], "random": [members[i] for i in np.sort(drawn)]}
    return [
        Task(
            check=check,
            name=f"onion-{removal}",
            params={"removal": removal, "removed": removed[removal], "mirrored": attack != "loss"},
            version=version,
        )
        for removal in REMOVALS
    ]


def peel(task: Task, subject: Subject) -> pl.DataFrame:
    """φ of every row after training without the removed ones, and which they were."""
    from raiaudit.audit.privacy.inference.pool import joined, training_rows
    from raiaudit.audit.privacy.inference.signals import mirrors, phi_of
    from raiaudit.models.training import train

    recipe = subject.record.recipe
    assert recipe is not None
    rows = training_rows(subject)
    left = rows.take(np.flatnonzero(~rows.ids.is_in(task.params["removed"]).to_numpy()))
    digest = hashlib.sha256("|".join([subject.dataset.digest, *task.params["removed"]]).encode()).hexdigest()
    dataset = replace(
        subject.dataset,
        splits={"train": left, "validation": subject.dataset.splits["validation"]},
        digest=digest,
    )
    peeled = train(
        recipe.model_copy(update={"train_limit": None}),
        dataset,
        name=f"without-{task.params['removal']}",
        seed=subject.record.seed if subject.record.seed is not None else subject.seed,
        device=subject.device_name,
    )
    # Who of these is in the pool, the ledger knows.
    splits = subject.dataset.splits
    asked = joined(rows, joined(splits["validation"], splits["test"]))
    mirror = task.params["mirrored"] and mirrors(subject)  # the loss attack asks about the input as it is
    phi_N = phi_of(peeled.classifier, asked, str(subject.device), mirror=mirror)
    at = f"at_risk.onion.{task.params['removal']}"
    return pl.DataFrame([asked.ids.alias("example_id")]).with_columns(
        pl.Series(f"{at}.phi", phi_N, dtype=pl.Float32),
        asked.ids.is_in(task.params["removed"]).alias(f"{at}.removed"),
    )


def newly_exposed(ledger: LedgerReader, attack: Attack, scores: pl.DataFrame, limit: float) -> pl.DataFrame:
    """example_id, score, and by removal whether it is above `limit` now: of the members below it before.

    Members that either removal took out are not in it.
    """
    before = scores.filter(pl.col("member") & (pl.col("score") <= limit)).select("example_id", "score")
    for removal in REMOVALS:
        at = f"at_risk.onion.{removal}"
        gone = ledger.scan(f"{at}.removed").filter(pl.col(f"{at}.removed")).collect()
        now = membership_scores(ledger, attack, phi=f"{at}.phi").select(
            "example_id", (pl.col("score") > limit).alias(removal)
        )
        before = before.join(gone, on="example_id", how="anti").join(now, on="example_id")
    return before


def onion_measurements(
    rows: pl.DataFrame, *, check: str, confidence: float, where: dict[str, Any], reason: str | None = None
) -> list[Measurement]:
    """`newly_exposed` after either removal, `onion_effect` (their paired difference) and its p-value.

    With a `reason` all are undefined.
    """
    n = rows.height
    shares = {}
    if n and reason is None:
        hits = {removal: rows[removal].to_numpy() for removal in REMOVALS}
        shares = {
            removal: (float(hit.mean()), *clopper_pearson(int(hit.sum()), n, confidence))
            for removal, hit in hits.items()
        }
    why = reason or "no member of the pool is below the threshold"

    def measured(
        metric: str,
        found: tuple[float, float | None, float | None] | None,
        method: str,
        better: Any,
        **more: Any,
    ) -> Measurement:
        value, low, high = found if found is not None else (None, None, None)
        return Measurement(
            check=check,
            metric=metric,
            value=value,
            low=low,
            high=high,
            confidence=confidence,
            n=n,
            better=better,
            where={**where, **more},
            method=method,
            reason=why if found is None else None,
            evidence=("membership.phi", "at_risk.onion.*"),
        )

    measurements = [
        measured("newly_exposed", shares.get(removal), "carlini2022onion", "lower", removed=removal)
        for removal in REMOVALS
    ]
    effect, p = None, None
    if shares:
        exposed, random = (rows[removal].to_numpy() for removal in REMOVALS)
        limits = paired_difference(exposed, random, confidence)
        effect = (shares["exposed"][0] - shares["random"][0], limits.low, limits.high)
        p = (exchange_test(exposed[None], random[None]), None, None)
    return [
        *measurements,
        measured("onion_effect", effect, "bonett2012", "lower"),
        measured("onion_effect_p_value", p, "mcnemar1947", "neither"),
    ]
