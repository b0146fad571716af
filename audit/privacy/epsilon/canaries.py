"""Canaries: what one more training run of the same recipe gives away about who was in its data.

The recipe is trained again with M canaries, each in or out by its own fair coin, and an adversary bets on
which were in. How often it wins bounds ε from below (Steinke, Nasr, Jagielski, arXiv:2305.08846; the f-DP
form: Mahloujifar, Melis, Chaudhuri, arXiv:2410.22235). Everything is fixed before a score is seen: the
canaries, the coins, how many guesses, the score.

- `mislabelled`, `random` (`canary_data.py`): black-box. The score is φ under the model trained with the
  canaries minus φ under the audited model, which never saw them: what being learnt adds.
- `gradient`, private recipes alone (`models/training/canaries.py`): white-box. Dirac canaries of the largest
  gradient that clipping allows, watched in every noisy step: the adversary the accountant assumes.

Ledger columns, a row a canary: `canary.<kind>.included`, `.score`; of inputs `.phi`, `.reference`, `.row`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.privacy.epsilon.canary_summary import bar, found_by
from raiaudit.errors import CapabilityError, UsageError
from raiaudit.models.numbers import Fraction

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject

__all__ = ["CanaryAudit", "CanaryConfig"]

Kind = Literal["mislabelled", "random", "gradient"]


class CanaryConfig(CheckConfig):
    """Which canaries, how many, and how many of them are guessed at."""

    kinds: tuple[Kind, ...] | None = Field(
        default=None, description="default: mislabelled, and gradient where the recipe is private"
    )
    canaries: int = Field(default=1000, ge=1, description="of each kind, at most; each is in by a fair coin")
    guesses: Fraction = Field(
        default=0.1, gt=0, le=0.5, description="share of the canaries guessed to be in, and as many out"
    )
    delta: float = Field(default=1e-5, ge=0, lt=1, description="of ε where the recipe names no δ")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="of all kinds together")

    @field_validator("kinds")
    @classmethod
    def _each_once(cls, kinds: tuple[Kind, ...] | None) -> tuple[Kind, ...] | None:
        if kinds is not None and (not kinds or len(set(kinds)) != len(kinds)):
            raise ValueError("kinds names one or more kinds of canaries, each once")
        return kinds


class CanaryAudit:
    """One task, and one training run, for each kind of canary."""

    id: ClassVar[str] = "privacy.canaries"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "How much does training give away at least, and does ε hold?"
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.LOGITS, Capability.TRAINING_DATA, Capability.RETRAINING}
    )
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = CanaryConfig

    def tasks(self, subject: Subject, config: CanaryConfig) -> Sequence[Task]:
        """Raises `CapabilityError` for gradient canaries of a recipe that is not private."""
        return [
            Task(check=self.id, name=kind, config={"canaries": config.canaries}, version=self.version)
            for kind in _kinds(subject, config)
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Train with the canaries, and score each."""
        play = _gradient_rows if task.name == "gradient" else _input_rows
        columns = play(subject, task.name, task.config["canaries"])
        count = len(columns["included"])
        ids = [f"canary/{task.name}/{index:05d}" for index in range(count)]
        return pl.DataFrame(
            {"example_id": pl.Series(ids, dtype=pl.String)}
            | {f"canary.{task.name}.{name}": column for name, column in columns.items()}
        )

    def summarise(self, ledger: LedgerReader, subject: Subject, config: CanaryConfig) -> list[Measurement]:
        """Of each kind `epsilon_lower_bound` by both bounds with its `epsilon_power_cap`, `canary_auc` and
        exposure; of a private model `epsilon_margin`, the accountant's ε minus the lower bound.
        """
        kinds = _kinds(subject, config)
        return [
            measurement
            for kind in kinds
            for measurement in found_by(self.id, kind, len(kinds), ledger, subject, config)
        ]

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: CanaryConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`epsilon`: for each kind and bound what was shown, could have been shown, and may be at most."""
        measurements = self.summarise(ledger, subject, config)
        return {"epsilon": bar(measurements, subject.record.privacy)}


def _kinds(subject: Subject, config: CanaryConfig) -> tuple[Kind, ...]:
    private = subject.record.privacy is not None
    if config.kinds is None:
        return ("mislabelled", "gradient") if private else ("mislabelled",)
    if "gradient" in config.kinds and not private:
        raise CapabilityError(
            "gradient canaries watch the noisy steps of private training, and this model had none",
            where="privacy.canaries kinds",
            remedy="ask for mislabelled or random canaries",
        )
    return config.kinds


def _input_rows(subject: Subject, kind: str, most: int) -> dict[str, pl.Series]:
    from raiaudit.audit.privacy.epsilon.canary_data import input_canaries, phi_of, retrained

    canaries = input_canaries(subject, kind, most)
    if not len(canaries.points):
        raise UsageError(
            "there are no test rows to make canaries of, or fewer than two training rows",
            where="privacy.canaries",
        )
    device = str(subject.device)
    reference_M = phi_of(subject.version, canaries.points, device)
    phi_M = phi_of(retrained(subject, canaries, kind), canaries.points, device)
    return {
        "included": pl.Series(canaries.included_M),
        "score": pl.Series(phi_M - reference_M),
        "phi": pl.Series(phi_M),
        "reference": pl.Series(reference_M),
        "row": canaries.points.ids,
    }


def _gradient_rows(subject: Subject, kind: str, most: int) -> dict[str, pl.Series]:
    from raiaudit.audit.privacy.epsilon.canary_data import coins
    from raiaudit.audit.statistics.keyed import keyed_rng
    from raiaudit.models.training import train
    from raiaudit.models.training.canaries import GradientCanaries

    recipe = subject.record.recipe
    assert recipe is not None
    count = min(most, subject.record.parameters)
    seed = int(keyed_rng(subject.seed, "canaries", kind, "training").integers(2**31))
    canaries = GradientCanaries(coins(subject, kind, count), seed=seed)
    train(
        recipe,
        subject.dataset,
        name=f"canaries-{kind}",
        seed=seed,
        device=subject.device_name,
        canaries=canaries,
    )
    return {"included": pl.Series(canaries.included_M), "score": pl.Series(canaries.scores_M)}
