"""Membership inference: can an adversary tell who was in the training data?

Two attacks. `loss` (Yeom et al., arXiv:1709.01604) thresholds the example's loss and needs no other
model. `lira` (Carlini et al., arXiv:2112.03570) compares the target's φ with that of shadow models
trained with and without the example; it runs the loss attack as well.

A task is the target, or an ensemble of at most 16 shadow models (`shadows.py`).

Ledger columns, one row a point of the pool: `membership.member`, `.population` (false), `.phi`, `.loss`,
`.loss.score`, `.confidence`, `.entropy`, `.modified_entropy`, `.group.<attribute>`; per shadow
`membership.shadow.<kk>.phi`, `.keep` and `.engine`. Rows of the population (points nobody trains on) have the
same columns, with `membership.member` null and `.population` true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.privacy.membership_summary import by_group, membership_scores, of_attack, parted
from raiaudit.audit.privacy.pool import joined, pool_of, why_no_pool
from raiaudit.audit.privacy.rates import histogram, roc
from raiaudit.errors import CapabilityError
from raiaudit.models.numbers import Fractions

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.privacy.pool import Pool
    from raiaudit.audit.subject import Subject

__all__ = ["Membership", "MembershipConfig", "membership_scores"]

_TASK = 16  # shadows of one ensemble: fixed, so that tasks do not depend on the machine
_FEWEST = 4  # shadows: with two on a side of a point, its φ has a spread


class MembershipConfig(CheckConfig):
    """Which attack, with how many shadow models, on how many examples."""

    attack: Literal["lira", "loss"] = "lira"
    shadows: int = Field(default=8, ge=0, description="shadow models of LiRA; an even number, at least 4")
    pool: int = Field(default=500, ge=2, description="members, and as many non-members, where there are")
    population: int = Field(
        default=500,
        ge=0,
        description="points that nobody trains on, from at most half of the validation split",
    )
    ensemble: Literal["auto", "serial", "packed", "processes"] = Field(
        default="auto", description="how the shadows are trained; auto: the quickest, by timing a few steps"
    )
    fpr: Fractions = Field(
        default=(0.1, 0.01, 0.001), description="false-positive rates at which the true-positive rate is read"
    )

    @field_validator("shadows")
    @classmethod
    def _even(cls, shadows: int) -> int:
        if shadows % 2:
            raise ValueError("shadows must be even: each pair of them splits the pool between its two")
        return shadows

    @field_validator("fpr")
    @classmethod
    def _rates(cls, fpr: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < rate < 1 for rate in fpr):
            raise ValueError("a false-positive rate lies strictly between 0 and 1")
        return tuple(sorted(set(fpr), reverse=True))


class Membership:
    """One task for the target's signals, one for each ensemble of shadow models."""

    id: ClassVar[str] = "privacy.membership"
    version: ClassVar[int] = 2
    question: ClassVar[str] = "Can an adversary tell whose data the model was trained on?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LOGITS, Capability.TRAINING_DATA})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = MembershipConfig

    def tasks(self, subject: Subject, config: MembershipConfig) -> Sequence[Task]:
        """The target first.

        Raises `CapabilityError` when there are no two examples on a side, and for LiRA on a model without a
        recipe, or with too few shadows.
        """
        if why := why_no_pool(subject):
            raise CapabilityError(why, where=f"{self.id} pool")
        pool = {"pool": config.pool, "population": config.population}
        target = Task(check=self.id, name="target", config=pool, version=self.version)
        if config.attack == "loss":
            return [target]
        if Capability.RETRAINING not in subject.capabilities:
            raise CapabilityError(
                "LiRA trains shadow models, and how this model was trained is not known",
                where=f"{self.id} attack",
                remedy="set attack: loss, or audit a model trained from a recipe",
            )
        if config.shadows < _FEWEST:
            raise CapabilityError(
                f"{config.shadows} shadow models leave points with fewer than two models on a side, that "
                "trained on them or did not",
                where=f"{self.id} shadows",
                remedy=f"set shadows: {_FEWEST} or more (even), or attack: loss",
            )
        return [target] + [
            Task(
                check=self.id,
                name=f"shadows-{first:03d}-{min(first + _TASK, config.shadows) - 1:03d}",
                params={"first": first, "shadows": config.shadows},
                config={**pool, "ensemble": config.ensemble},
                version=self.version,
            )
            for first in range(0, config.shadows, _TASK)
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Signals of the target, or train an ensemble of shadow models and take theirs."""
        from raiaudit.audit.privacy.shadows import shadow_signals

        pool = pool_of(subject, task.config["pool"], task.config["population"])
        if task.name == "target":
            return _target(pool, subject)
        first, shadows = task.params["first"], task.params["shadows"]
        numbers = range(first, min(first + _TASK, shadows))
        found = shadow_signals(subject, pool, numbers, shadows, task.config["ensemble"])
        columns: dict[str, pl.Series | pl.Expr] = {}
        for number, phi_N, keep_N in zip(numbers, found.phi_KN, found.keep_KN, strict=True):
            at = f"membership.shadow.{number:02d}"
            columns[f"{at}.phi"] = pl.Series(phi_N, dtype=pl.Float32)
            columns[f"{at}.keep"] = pl.Series(keep_N)
            columns[f"{at}.engine"] = pl.lit(found.engine)
        ids = joined(pool.points, pool.population).ids.alias("example_id")
        return pl.DataFrame([ids]).with_columns(**columns)

    def summarise(
        self, ledger: LedgerReader, subject: Subject, config: MembershipConfig
    ) -> list[Measurement]:
        """AUC, TPR at small FPR and advantage of each attack; AUC by group for the stronger design."""
        found: list[Measurement] = []
        for attack in _attacks(config):
            scores = membership_scores(ledger, attack)
            found += of_attack(self.id, attack, scores, config.fpr, subject.seed)
        found += by_group(self.id, config.attack, ledger, membership_scores(ledger, config.attack))
        return found

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: MembershipConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`roc` of each attack; `histogram`: the scores of the configured one."""
        curves = []
        for attack in _attacks(config):
            inside, outside = parted(membership_scores(ledger, attack))
            curves.append(roc(inside, outside).with_columns(attack=pl.lit(attack)))
        return {
            "roc": pl.concat(curves),
            "histogram": histogram(*parted(membership_scores(ledger, config.attack))),
        }


def _attacks(config: MembershipConfig) -> tuple[Literal["lira", "loss"], ...]:
    return ("loss",) if config.attack == "loss" else ("lira", "loss")


def _target(pool: Pool, subject: Subject) -> pl.DataFrame:
    import numpy as np

    from raiaudit.audit.privacy.signals import mirrors, outputs_of

    asked = joined(pool.points, pool.population)
    population_N = np.arange(len(asked)) >= len(pool.points)
    outputs = outputs_of(subject.version.classifier, asked, str(subject.device), mirror=mirrors(subject))
    groups = {f"membership.group.{name}": asked.groups[name] for name in asked.groups.columns}
    return pl.DataFrame(
        {
            "example_id": asked.ids,
            "membership.member": [*pool.member_P.tolist(), *[None] * len(pool.population)],
            "membership.population": population_N,
            "membership.phi": pl.Series(outputs.phi_N, dtype=pl.Float32),
            "membership.loss": outputs.loss_N,
            "membership.loss.score": -outputs.loss_N,
            "membership.confidence": outputs.confidence_N,
            "membership.entropy": outputs.entropy_N,
            "membership.modified_entropy": outputs.modified_entropy_N,
            **groups,
        },
        schema_overrides={"membership.member": pl.Boolean},
    )
