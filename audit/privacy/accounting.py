"""The accountant's claim: how much a privately trained model can have leaked, at most.

ε of T Poisson-subsampled Gaussian steps at δ, by the privacy-loss distribution (arXiv:1906.03049,
dp-accounting with pessimistic rounding: an upper bound), with Opacus' PRV accountant (arXiv:2106.02848)
as the cross-check. The audit does not take the record's word: it computes ε again from q, σ, T and δ, and
a claim that differs by more than 1 % is not certified. What is not certified has no value, only a reason.

Ledger columns, in one row that stands for the training run: `accounting.<field of the record>` and
`accounting.epsilon`, the recomputed one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.measurement import Measurement

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject
    from raiaudit.models.version import PrivacyRecord

__all__ = ["Accounting", "AccountingConfig"]

_AGREEMENT = 0.01  # relative, between what was recorded and what is computed here
_CROSS_CHECK = 0.1  # relative, between the two accountants' own discretisations
_INTERVAL = 1e-4
_ROW = "(training run)"


class AccountingConfig(CheckConfig):
    """Nothing to choose."""


class Accounting:
    """Recompute ε from what the training run recorded."""

    id: ClassVar[str] = "privacy.accounting"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "What privacy does the training guarantee, and do its assumptions hold?"
    needs: ClassVar[frozenset[Capability]] = frozenset()
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = AccountingConfig

    def tasks(self, subject: Subject, config: AccountingConfig) -> Sequence[Task]:
        """One task for a private model, none for another."""
        record = subject.record.privacy
        if record is None:
            return []
        return [
            Task(
                check=self.id, name="accountant", params=record.model_dump(mode="json"), version=self.version
            )
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """The recorded facts and the recomputed ε."""
        recorded = {f"accounting.{name}": [value] for name, value in task.params.items()}
        return pl.DataFrame(
            {"example_id": [_ROW], **recorded, "accounting.epsilon": [_epsilon(task.params)]},
            schema_overrides={"accounting.epsilon_prv": pl.Float64, "accounting.epsilon": pl.Float64},
        )

    def summarise(
        self, ledger: LedgerReader, subject: Subject, config: AccountingConfig
    ) -> list[Measurement]:
        """`epsilon`, its cross-check and δ; without a certificate ε is undefined."""
        record = subject.record.privacy
        if record is None:
            return [self._measurement("epsilon", None, 0, reason=_why_not_private(subject))]
        recomputed = _only(ledger.scan("accounting.epsilon"))["accounting.epsilon"].item()
        doubts = _doubts(record, recomputed)
        n = int(subject.record.metrics.get("training_examples", 0))
        where = {"delta": record.delta}
        prv = record.epsilon_prv
        return [
            self._measurement(
                "epsilon", None if doubts else recomputed, n, where=where, reason="; ".join(doubts) or None
            ),
            self._measurement(
                "epsilon_prv",
                prv,
                n,
                where=where,
                method="gopi2021",
                reason=None if prv is not None else record.why or "the PRV accountant gave no value",
            ),
            self._measurement("noise_multiplier", record.noise_multiplier, n, better="neither"),
        ]

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: AccountingConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`mechanism`: the recorded facts, one row."""
        if subject.record.privacy is None:
            return {}
        columns = {f"accounting.{name}": name for name in type(subject.record.privacy).model_fields}
        rows = _only(ledger.scan(*columns, "accounting.epsilon"))
        return {"mechanism": rows.rename({**columns, "accounting.epsilon": "epsilon"}).drop("example_id")}

    def _measurement(self, metric: str, value: float | None, n: int, **more: Any) -> Measurement:
        facts = {"better": "lower", "method": "koskela2020", "evidence": ("accounting.epsilon",), **more}
        return Measurement(check=self.id, metric=metric, value=value, n=n, **facts)


def _only(rows: pl.LazyFrame) -> pl.DataFrame:
    """The row that stands for the training run, among those of the examples."""
    return rows.filter(pl.col("example_id") == _ROW).collect()


def _epsilon(record: Mapping[str, Any]) -> float | None:
    """PLD ε from q, σ, T and δ alone; None where it is not finite (no noise, or no such δ)."""
    from dp_accounting import dp_event
    from dp_accounting.pld import PLDAccountant

    if not record["noise_multiplier"] > 0:
        return None
    accountant = PLDAccountant(value_discretization_interval=_INTERVAL)
    step = dp_event.PoissonSampledDpEvent(
        record["sample_rate"], dp_event.GaussianDpEvent(record["noise_multiplier"])
    )
    accountant.compose(step, record["steps"])
    epsilon = float(accountant.get_epsilon(record["delta"]))
    return epsilon if math.isfinite(epsilon) else None


def _doubts(record: PrivacyRecord, recomputed: float | None) -> list[str]:
    """Why the claim is not certified; empty when it is."""
    doubts = []
    if not record.certified:
        doubts.append(f"the training run did not certify it: {record.why or 'no reason was recorded'}")
    if not record.poisson_sampling:
        doubts.append("batches were not drawn by Poisson sampling, which the accountant assumes")
    if recomputed is None:
        return [*doubts, "the recorded noise and δ give no finite ε"]
    if not math.isclose(record.epsilon_pld, recomputed, rel_tol=_AGREEMENT):
        doubts.append(
            f"the record says ε = {record.epsilon_pld:.4g}, its own q, σ, steps and δ give {recomputed:.4g}"
        )
    if record.epsilon_prv is not None and record.epsilon_prv > recomputed * (1 + _CROSS_CHECK):
        doubts.append(
            f"the PRV accountant says ε = {record.epsilon_prv:.4g}, more than PLD's {recomputed:.4g}"
        )
    return doubts


def _why_not_private(subject: Subject) -> str:
    if subject.record.recipe is None:
        return "how the model was trained is not known: no bound on ε can be given"
    return "trained without differential privacy: ε is unbounded"
