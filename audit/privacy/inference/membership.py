"""Membership inference: can an adversary tell who was in the training data?

`attack` names one attack or several. Shadow-free ones (`loss`, arXiv:1709.01604; `confidence`, `entropy`,
`modified_entropy`, `quantile`) look at the target alone; `lira` (arXiv:2112.03570), `rmia`
(arXiv:2312.03562), `base` (arXiv:2505.24089) and `bavaria_t`, `bavaria_n` (arXiv:2603.11799) compare the
target's φ with that of shadow models trained with and without the example, `…_offline` with those without it
alone. The first is the headline: gates that name no attack judge it, and other checks go by it. `loss` runs
beside any.

By default LiRA is the headline, with RMIA and BASE beside it: all score the same φ, in milliseconds, and with
few shadows who finds most differs between models.

A task is the target, the quantile regression, or an ensemble of at most 16 shadow models (`shadows.py`).

Ledger columns, one row a point of the pool: `membership.member`, `.population` (false), `.phi`, `.loss`,
`.loss.score`, `.confidence_logit` (log-odds of the predicted class, whatever the label), `.entropy`,
`.modified_entropy`, `.group.<attribute>`, `.quantile.score`; per shadow `membership.shadow.<kk>.phi`, `.keep`
and `.engine`; `membership.headline.<attack>` where the headline is neither LiRA with shadow models nor
the loss without. Rows of the population (points nobody trains on) have the same columns, with
`membership.member` null and `.population` true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import BeforeValidator, Field, field_validator

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.privacy.inference.membership_attacks import SHADOW_FREE, Attack, why_no_shadows
from raiaudit.audit.privacy.inference.membership_measurements import (
    Attacked,
    by_group,
    method_of,
    of_attack,
    undefined,
)
from raiaudit.audit.privacy.inference.membership_summary import HEADLINE, membership_scores, parted, score_all
from raiaudit.audit.privacy.inference.pool import joined, pool_of, why_no_pool
from raiaudit.audit.privacy.inference.rates import FalsePositiveRates, histogram, roc
from raiaudit.errors import CapabilityError

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.privacy.inference.pool import Pool
    from raiaudit.audit.subject import Subject

__all__ = ["Membership", "MembershipConfig", "membership_scores"]

_TASK = 16  # shadows of one ensemble: fixed, so that tasks do not depend on the machine


def _listed(given: Any) -> Any:
    return (given,) if isinstance(given, str) else given


Attacks = Annotated[
    tuple[Attack, ...],
    BeforeValidator(_listed, json_schema_input_type=Attack | tuple[Attack, ...]),
    Field(min_length=1),
]
"""One name or several."""


class MembershipConfig(CheckConfig):
    """Which attacks, with how many shadow models, on how many examples."""

    attack: Attacks = Field(
        default=("lira", "rmia", "base", "loss"),
        description="one or several; the first is the headline, and `loss` runs beside any",
    )
    shadows: int = Field(default=8, ge=0, description="shadow models; an even number, at least 4 for LiRA")
    pool: int = Field(default=500, ge=2, description="members, and as many non-members, where there are")
    population: int = Field(
        default=500,
        ge=0,
        description="points that nobody trains on, from at most half of the validation split",
    )
    ensemble: Literal["auto", "serial", "packed", "processes"] = Field(
        default="auto", description="how the shadows are trained; auto: the quickest, by timing a few steps"
    )
    fpr: FalsePositiveRates = Field(
        default=(0.1, 0.01, 0.001), description="false-positive rates at which the true-positive rate is read"
    )

    @field_validator("attack")
    @classmethod
    def _once(cls, attack: tuple[Attack, ...]) -> tuple[Attack, ...]:
        return tuple(dict.fromkeys(attack))

    @field_validator("shadows")
    @classmethod
    def _even(cls, shadows: int) -> int:
        if shadows % 2:
            raise ValueError("shadows must be even: each pair of them splits the pool between its two")
        return shadows

    @property
    def attacks(self) -> tuple[Attack, ...]:
        """All that run, the headline first."""
        return tuple(dict.fromkeys((*self.attack, "loss")))


class Membership:
    """One task for the target's signals, one for each ensemble of shadow models."""

    id: ClassVar[str] = "privacy.membership"
    version: ClassVar[int] = 3
    question: ClassVar[str] = "Can an adversary tell whose data the model was trained on?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LOGITS, Capability.TRAINING_DATA})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = MembershipConfig

    def tasks(self, subject: Subject, config: MembershipConfig) -> Sequence[Task]:
        """The target first.

        Raises `CapabilityError` when there are no two examples on a side, and when none of the attacks named
        can run: on a model without a recipe, or with too few shadows.
        """
        if why := why_no_pool(subject):
            raise CapabilityError(why, where=f"{self.id} pool")
        unable = {attack: why_no_shadows(attack, subject, config.shadows) for attack in config.attack}
        able = [attack for attack, why in unable.items() if not why]
        if not able:
            raise CapabilityError(
                unable[config.attack[0]],
                where=f"{self.id} attack",
                remedy="set attack: loss, or audit a model trained from a recipe, with shadows: 4 or more",
            )
        pool = {"pool": config.pool, "population": config.population}

        def task(name: str, **more: Any) -> Task:
            return Task(check=self.id, name=name, version=self.version, **{"config": pool, **more})

        tasks = [task("target")]
        trained = any(attack not in SHADOW_FREE for attack in able)
        if able[0] != ("lira" if trained else "loss"):
            tasks.append(task(f"headline-{able[0]}", params={"headline": able[0]}))
        if "quantile" in able:
            tasks.append(task("quantile"))
        return tasks + [
            task(
                f"shadows-{first:03d}-{min(first + _TASK, config.shadows) - 1:03d}",
                params={"first": first, "shadows": config.shadows},
                config={**pool, "ensemble": config.ensemble},
            )
            for first in range(0, config.shadows if trained else 0, _TASK)
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Signals of the target, or train an ensemble of shadow models and take theirs."""
        from raiaudit.audit.privacy.inference.shadows import shadow_signals

        pool = pool_of(subject, task.config["pool"], task.config["population"])
        if task.name == "target":
            return _target(pool, subject)
        if task.name == "quantile":
            return _quantile(pool, subject)
        if named := task.params.get("headline"):
            return pl.DataFrame({"example_id": pool.points.ids, HEADLINE + named: True})
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
        """AUC, TPR at small FPR and advantage of each attack; AUC by group for the headline."""
        scores = score_all(ledger, config.attacks)
        found: list[Measurement] = []
        for attack in config.attacks:
            of = self._attacked(attack, subject, config, scores.population)
            if (table := scores.tables.get(attack)) is not None:
                found += of_attack(of, table, config.fpr)
            else:
                why = why_no_shadows(attack, subject, config.shadows) or scores.reasons[attack]
                found += undefined(of, config.fpr, why)
        grouped = next(attack for attack in config.attacks if attack in scores.tables)
        of = self._attacked(grouped, subject, config, scores.population)
        return found + by_group(of, ledger, scores.tables[grouped])

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: MembershipConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`roc` of each attack, its `rank` 0 for the headline; `histogram`: the headline's scores."""
        scores = score_all(ledger, config.attacks)
        shown = [attack for attack in config.attacks if attack in scores.tables]
        curves = [
            roc(*parted(scores.tables[attack])).with_columns(attack=pl.lit(attack), rank=pl.lit(rank))
            for rank, attack in enumerate(shown)
        ]
        return {"roc": pl.concat(curves), "histogram": histogram(*parted(scores.tables[shown[0]]))}

    def _attacked(
        self, attack: Attack, subject: Subject, config: MembershipConfig, population: int
    ) -> Attacked:
        columns = ["membership.member", "membership.phi"]
        if attack in SHADOW_FREE:
            columns[1] = f"membership.{attack}" + (".score" if attack in ("loss", "quantile") else "")
        else:
            columns.append("membership.shadow.*")
        return Attacked(
            check=self.id,
            attack=attack,
            evidence=tuple(columns),
            seed=subject.seed,
            method=method_of(attack),
            first=attack == config.attack[0],
            levels=population if attack.startswith("rmia") else None,
        )


def _quantile(pool: Pool, subject: Subject) -> pl.DataFrame:
    """The score by quantile regression, learned from the non-members and the population."""
    import numpy as np

    from raiaudit.attacks.inference import quantile
    from raiaudit.audit.privacy.inference.knowledge import features_of
    from raiaudit.audit.privacy.inference.signals import mirrors, phi_of

    asked = joined(pool.points, pool.population)
    outside_N = np.concatenate([~pool.member_P, np.ones(len(pool.population), dtype=np.bool_)])
    score_N = quantile.score(
        phi_of(subject.version.classifier, asked, str(subject.device), mirror=mirrors(subject)),
        features_of(asked, len(subject.dataset.classes)),
        outside_N,
        folds=min(5, int(outside_N.sum())),
        seed=subject.seed,
    )
    return pl.DataFrame({"example_id": asked.ids, "membership.quantile.score": score_N})


def _target(pool: Pool, subject: Subject) -> pl.DataFrame:
    import numpy as np

    from raiaudit.audit.privacy.inference.signals import mirrors, outputs_of

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
            "membership.confidence_logit": outputs.uncertainty.confidence_N,
            "membership.entropy": outputs.uncertainty.entropy_N,
            "membership.modified_entropy": outputs.uncertainty.modified_entropy_N,
            **groups,
        },
        schema_overrides={"membership.member": pl.Boolean},
    )
