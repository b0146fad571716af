"""The accountant's claim: how much a privately trained model can have leaked, at most.

ε of T Poisson-subsampled Gaussian steps at δ, by the privacy-loss distribution (arXiv:1906.03049,
dp-accounting with pessimistic rounding: an upper bound), with Opacus' PRV accountant (arXiv:2106.02848)
as the cross-check. The audit does not take the record's word: it computes ε again from q, σ, T and δ, and
looks at what the accountant assumes (`assumptions.py`). A claim that differs by more than 1 %, or of which an
assumption does not hold, is not certified. What is not certified has no value, only a reason. What is
certified holds against those who do not know the seed of the noise. Where δ is 1/n or more ε says so: it then
allows one record of n to be published whole.

Ledger columns: `accounting.<field of the record>` and `accounting.epsilon`, the recomputed one, in one row
that stands for the training run; `accounting.assumption.*`, a row an assumption of the rebuilt step;
`accounting.trial.*`, a row a private model of the same data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.privacy.epsilon.assumptions import Assumption, from_record, from_step
from raiaudit.audit.privacy.epsilon.trials import PREFIX, SCHEMA, private_trials, why_no_sum

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject
    from raiaudit.models.version import PrivacyRecord

__all__ = ["Accounting", "AccountingConfig"]

_AGREEMENT = 0.01  # relative, between what was recorded and what is computed here
_CROSS_CHECK = 0.1  # relative, between the two accountants' own discretisations
_PRV_ERROR = 0.011  # what Opacus adds to every ε of its PRV accountant, so that it is an upper bound
_INTERVAL = 1e-4
_ROW = "(training run)"
_ASSUMPTION = "accounting.assumption."
_REBUILT = frozenset({Capability.TRAINING_DATA, Capability.RETRAINING})
_SCHEMA = {
    "name": pl.String,
    "source": pl.String,
    "holds": pl.Boolean,
    "text": pl.String,
    "found": pl.Float64,
    "expected": pl.Float64,
}


class AccountingConfig(CheckConfig):
    """Nothing to choose."""


class Accounting:
    """Recompute ε from what the training run recorded, and look at what that takes for granted."""

    id: ClassVar[str] = "privacy.accounting"
    version: ClassVar[int] = 3
    question: ClassVar[str] = "What privacy does the training guarantee, and do its assumptions hold?"
    needs: ClassVar[frozenset[Capability]] = frozenset()
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = AccountingConfig

    def tasks(self, subject: Subject, config: AccountingConfig) -> Sequence[Task]:
        """None for a model that is not private; the step is rebuilt where recipe and rows are known."""
        record = subject.record.privacy
        if record is None:
            return []
        names = {"accountant": True, "assumptions": subject.capabilities >= _REBUILT}
        names["trials"] = subject.registry is not None
        params = record.model_dump(mode="json")
        return [
            Task(check=self.id, name=name, params=params, version=self.version)
            for name, possible in names.items()
            if possible
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """The recorded facts and the recomputed ε, the rebuilt step's assumptions, or the trials."""
        if task.name == "assumptions":
            return _rows("assumption", _table(from_step(subject)), _ASSUMPTION)
        if task.name == "trials":
            return _rows("trial", private_trials(subject), PREFIX)
        said = task.params
        epsilon = _epsilon(said["noise_multiplier"], said["sample_rate"], said["steps"], said["delta"])
        recorded = {f"accounting.{name}": [value] for name, value in said.items()}
        return pl.DataFrame(
            {"example_id": [_ROW], **recorded, "accounting.epsilon": [epsilon]},
            schema_overrides={"accounting.epsilon_prv": pl.Float64, "accounting.epsilon": pl.Float64},
        )

    def summarise(
        self, ledger: LedgerReader, subject: Subject, config: AccountingConfig
    ) -> list[Measurement]:
        """`epsilon` and its cross-check; without a certificate ε is undefined. `assumption_holds` for each
        assumption; `private_trials` and `epsilon_all_trials`, what choosing among them may have spent.
        """
        record = subject.record.privacy
        if record is None:
            return [self._measurement("epsilon", None, 0, reason=_why_not_private(subject))]
        recomputed = _only(ledger.scan("accounting.epsilon"))["accounting.epsilon"].item()
        assumptions = _assumptions(ledger, subject)
        broken = assumptions.filter(~pl.col("holds"))
        doubts = _doubts(record, recomputed)
        doubts += [f"{row['name']} ({row['source']}): {row['text']}" for row in broken.to_dicts()]
        n = int(subject.record.metrics.get("training_examples", 0))
        where = {"delta": record.delta}
        prv = record.epsilon_prv
        return [
            self._measurement(
                "epsilon",
                None if doubts else recomputed,
                n,
                where=where,
                reason="; ".join(doubts + _allowed_by(record.delta, n)) or None,
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
            *(self._held(row, n) for row in assumptions.to_dicts()),
            *self._trials(ledger),
        ]

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: AccountingConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`mechanism`: the recorded facts, one row; `assumptions`; `trials`."""
        if subject.record.privacy is None:
            return {}
        columns = {f"accounting.{name}": name for name in type(subject.record.privacy).model_fields}
        rows = _only(ledger.scan(*columns, "accounting.epsilon"))
        return {
            "mechanism": rows.rename({**columns, "accounting.epsilon": "epsilon"}).drop("example_id"),
            "assumptions": _assumptions(ledger, subject),
            "trials": _read(ledger, PREFIX, SCHEMA),
        }

    def _held(self, row: Mapping[str, Any], n: int) -> Measurement:
        holds = row["holds"]
        return self._measurement(
            "assumption_holds",
            None if holds is None else float(holds),
            n,
            where={"assumption": row["name"], "source": row["source"]},
            unit="of 1",
            better="higher",
            method="abadi2016",
            reason=row["text"],
            evidence=(f"{_ASSUMPTION}*",),
        )

    def _trials(self, ledger: LedgerReader) -> list[Measurement]:
        trials = _read(ledger, PREFIX, SCHEMA)
        facts = {"method": "dwork2006", "evidence": (f"{PREFIX}*",)}
        if trials.is_empty():
            why = "no registry is known: how many private models of these data were trained cannot be told"
            return [
                self._measurement(metric, None, 0, reason=why, **facts)
                for metric in ("private_trials", "epsilon_all_trials")
            ]
        listed = ", ".join(
            f"{row['model']} version {row['version']} (ε = {row['epsilon']:.3g})" for row in trials.to_dicts()
        )
        together = (
            f"{trials.height} private models were trained on these data: {listed}. Choosing among them "
            "spends the privacy of all; this is the plain sum of their ε"
        )
        n, several, no_sum = trials.height, trials.height > 1, why_no_sum(trials)
        return [
            self._measurement("private_trials", n, n, unit="models", **facts),
            self._measurement(
                "epsilon_all_trials",
                None if no_sum else float(trials["epsilon"].sum()),
                n,
                where={"delta": float(trials["delta"].sum()), "composition": "sum"},
                reason=no_sum or (together if several else None),
                **facts,
            ),
        ]

    def _measurement(self, metric: str, value: float | None, n: int, **more: Any) -> Measurement:
        facts = {"better": "lower", "method": "koskela2020", "evidence": ("accounting.epsilon",), **more}
        return Measurement(check=self.id, metric=metric, value=value, n=n, **facts)


def _table(assumptions: list[Assumption]) -> pl.DataFrame:
    assert set(_SCHEMA) == {field.name for field in fields(Assumption)}
    return pl.DataFrame([asdict(assumption) for assumption in assumptions], schema=_SCHEMA)


def _rows(kind: str, table: pl.DataFrame, prefix: str) -> pl.DataFrame:
    """The table as ledger rows, that stand for no example."""
    ids = pl.Series("example_id", [f"({kind} {index:03d})" for index in range(table.height)], pl.String)
    return table.rename(lambda name: prefix + name).with_columns(ids)


def _read(ledger: LedgerReader, prefix: str, schema: Mapping[str, Any]) -> pl.DataFrame:
    """The rows again; none where no task wrote them."""
    columns = [prefix + name for name in schema]
    if not set(columns) <= ledger.columns():
        return pl.DataFrame(schema=schema)
    rows = ledger.scan(*columns).filter(pl.col(columns[0]).is_not_null()).collect()
    return rows.drop("example_id").rename(lambda name: name.removeprefix(prefix))


def _assumptions(ledger: LedgerReader, subject: Subject) -> pl.DataFrame:
    """Of the training record, then of the rebuilt step, or why it was not rebuilt."""
    record, recipe = subject.record.privacy, subject.record.recipe
    assert record is not None
    found = from_record(record, recipe) if recipe is not None else []
    if not subject.capabilities >= _REBUILT:
        text = "the step was not rebuilt: the training rows or the recipe are not known"
        found.append(Assumption("clipping", "rebuilt step", None, text))
    return pl.concat([_table(found), _read(ledger, _ASSUMPTION, _SCHEMA)])


def _only(rows: pl.LazyFrame) -> pl.DataFrame:
    """The row that stands for the training run, among those of the examples."""
    return rows.filter(pl.col("example_id") == _ROW).collect()


@lru_cache(maxsize=64)
def _epsilon(sigma: float, sample_rate: float, steps: int, delta: float) -> float | None:
    """PLD ε from σ, q, T and δ alone; None where it is not finite (no noise, or no such δ)."""
    from dp_accounting import dp_event
    from dp_accounting.pld import PLDAccountant

    if not sigma > 0:
        return None
    accountant = PLDAccountant(value_discretization_interval=_INTERVAL)
    step = dp_event.PoissonSampledDpEvent(sample_rate, dp_event.GaussianDpEvent(sigma))
    accountant.compose(step, steps)
    epsilon = float(accountant.get_epsilon(delta))
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
    if record.epsilon_prv is not None and record.epsilon_prv > recomputed * (1 + _CROSS_CHECK) + _PRV_ERROR:
        doubts.append(
            f"the PRV accountant says ε = {record.epsilon_prv:.4g}, more than PLD's {recomputed:.4g}"
        )
    return doubts


def _allowed_by(delta: float, n: int) -> list[str]:
    """What nobody wants and a large δ allows, certified or not."""
    if not n or delta * n < 1:
        return []
    return [
        f"δ = {delta:g} is not below 1/{n:,}: to publish one training record in whole would satisfy it; a "
        "tenth of that or less is usual"
    ]


def _why_not_private(subject: Subject) -> str:
    if subject.record.recipe is None:
        return "how the model was trained is not known: no bound on ε can be given"
    return "trained without differential privacy: ε is unbounded"
