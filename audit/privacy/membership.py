"""Membership inference: can an adversary tell who was in the training data?

Two attacks. `loss` (Yeom et al., arXiv:1709.01604) thresholds the example's loss and needs no other
model. `lira` (Carlini et al., arXiv:2112.03570) compares the target's φ with that of shadow models
trained with and without the example; it runs the loss attack as well.

Ledger columns, one row a point of the pool: `membership.member`, `.phi`, `.loss`, `.loss.score`,
`.group.<attribute>`; per shadow `membership.shadow.<kk>.phi` and `.keep`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.privacy.membership_summary import by_group, membership_scores, of_attack, parted
from raiaudit.audit.privacy.pool import keep_matrix, pool_of
from raiaudit.audit.privacy.rates import histogram, roc
from raiaudit.errors import CapabilityError
from raiaudit.models.numbers import Fractions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.privacy.pool import Pool
    from raiaudit.audit.subject import Subject

__all__ = ["Membership", "MembershipConfig", "membership_scores"]


class MembershipConfig(CheckConfig):
    """Which attack, with how many shadow models, on how many examples."""

    attack: Literal["lira", "loss"] = "lira"
    shadows: int = Field(default=8, ge=4, description="shadow models of LiRA; an even number")
    pool: int = Field(default=500, ge=2, description="members, and as many non-members, where there are")
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
    """One task for the target's signals, one for each shadow model."""

    id: ClassVar[str] = "privacy.membership"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "Can an adversary tell whose data the model was trained on?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LOGITS, Capability.TRAINING_DATA})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = MembershipConfig

    def tasks(self, subject: Subject, config: MembershipConfig) -> Sequence[Task]:
        """The target first. Raises `CapabilityError` for LiRA on a model without a recipe."""
        pool = {"pool": config.pool}
        target = Task(check=self.id, name="target", config=pool, version=self.version)
        if config.attack == "loss":
            return [target]
        if Capability.RETRAINING not in subject.capabilities:
            raise CapabilityError(
                "LiRA trains shadow models, and how this model was trained is not known",
                where=f"{self.id} attack",
                remedy="set attack: loss, or audit a model trained from a recipe",
            )
        return [target] + [
            Task(
                check=self.id,
                name=f"shadow-{index:03d}",
                params={"index": index, "shadows": config.shadows},
                config=pool,
                version=self.version,
            )
            for index in range(config.shadows)
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Signals of the target, or train a shadow model and take its signals."""
        from raiaudit.audit.privacy.shadows import phi_of, train_shadow

        pool = pool_of(subject, task.config["pool"])
        ids, device = pool.points.ids.alias("example_id"), str(subject.device)
        if task.name == "target":
            return _target(ids, pool, phi_of(subject.version, pool, device))
        index = task.params["index"]
        keep_P = keep_matrix(task.params["shadows"], len(ids), subject.seed)[index]
        shadow = train_shadow(subject, pool, keep_P, index)
        at = f"membership.shadow.{index:02d}"
        return pl.DataFrame([ids]).with_columns(
            pl.Series(f"{at}.phi", phi_of(shadow, pool, device), dtype=pl.Float32),
            pl.Series(f"{at}.keep", keep_P),
        )

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


def _target(ids: pl.Series, pool: Pool, phi_P: NDArray[np.float64]) -> pl.DataFrame:
    import numpy as np

    # φ = log(p/(1−p)), hence −log p = log(1 + e^−φ).
    loss_P = np.logaddexp(0.0, -phi_P)
    groups = {f"membership.group.{name}": pool.points.groups[name] for name in pool.points.groups.columns}
    return pl.DataFrame(
        {
            "example_id": ids,
            "membership.member": pool.member_P,
            "membership.phi": pl.Series(phi_P, dtype=pl.Float32),
            "membership.loss": loss_P,
            "membership.loss.score": -loss_P,
            **groups,
        }
    )
