"""Attribute inference: does the model betray a sensitive column of the people it was trained on?

The adversary knows the other columns and the label of a record. It guesses the column by imputation, from
those alone; and by the model's posterior, P[v | model] ∝ prior(v) · p(y | x with v) (Fredrikson et al.,
10.1145/2810103.2813677), the prior being the imputation. What the model adds for members and strangers alike
is what it has learned of the population. So beside the accuracies stand the gain over imputation, and the
leak: the members' gain less the non-members' (Jayaraman & Evans, arXiv:2209.01292). A leak with no gain for
members says only that the model misleads about strangers.

Imputation is learned from non-members and from a population, and judges each record by a fit that did not
have it.

Ledger columns, for each column `<c>`: `attribute.<c>.member` (null: population), `.imputation` and
`.posterior` (whether the guess is right), `.nats` (what the model adds to the log-probability of the truth).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl
from pydantic import Field

from raiaudit.attacks.spaces import TableSchema
from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.privacy.inference.pool import joined, pool_of, why_no_pool
from raiaudit.audit.statistics.intervals import difference, paired_difference, wilson
from raiaudit.audit.statistics.means import mean_gap
from raiaudit.errors import CapabilityError, UnknownNameError

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["AttributeInference", "AttributeInferenceConfig"]

_FOLDS = 5
_SURE = 700.0  # of φ: e^700 is near the largest float
_SIDES = {"members": True, "non-members": False}


class AttributeInferenceConfig(CheckConfig):
    """Which columns, and of how many people."""

    columns: tuple[str, ...] | None = Field(
        default=None, description="categories the model reads; default: the group columns among them"
    )
    pool: int = Field(default=2000, ge=20, description="members, and as many non-members, where there are")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="of all intervals")


class AttributeInference:
    """A task for each column."""

    id: ClassVar[str] = "privacy.attribute_inference"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "Does the model betray a sensitive attribute of those it was trained on?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.PROBABILITIES, Capability.TRAINING_DATA})
    modalities: ClassVar[frozenset[str]] = frozenset({"tabular"})
    Config: ClassVar[type[CheckConfig]] = AttributeInferenceConfig

    def tasks(self, subject: Subject, config: AttributeInferenceConfig) -> Sequence[Task]:
        """One a column.

        Raises `CapabilityError` where no column applies or the data set is too small, `UnknownNameError` for
        a column that the table lacks.
        """
        if why := why_no_pool(subject):
            raise CapabilityError(why, where=f"{self.id} pool")
        columns = _columns(subject, config)
        return [
            Task(
                check=self.id,
                name=f"column-{number:02d}",
                params={"column": column},
                config={"pool": config.pool},
                version=self.version,
            )
            for number, column in enumerate(columns)
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Show the model every record with every value of the column."""
        from raiaudit.attacks.inference import attribute, phi

        column, size = task.params["column"], task.config["pool"]
        pool = pool_of(subject, size, size)
        rows = joined(pool.points, pool.population)
        member_N = [*pool.member_P.tolist(), *[None] * len(pool.population)]
        where = _schema(subject).slices[column]
        x_NW = np.asarray(rows.inputs, dtype=np.float32)
        value_N, values = x_NW[:, where].argmax(1), where.stop - where.start
        others_ND = np.hstack(
            [np.delete(x_NW, where, axis=1), np.eye(len(subject.dataset.classes))[rows.labels]]
        )
        outside_N = np.array([side is not True for side in member_N])
        prior_NV = attribute.impute(
            others_ND,
            value_N,
            outside_N,
            values=values,
            folds=min(_FOLDS, int(outside_N.sum())),
            seed=subject.seed,
        )
        phi_VN = []
        for value in range(values):
            completed = x_NW.copy()
            completed[:, where] = np.eye(values)[value]
            phi_VN.append(np.clip(phi(subject.logits(completed).numpy(), rows.labels), -_SURE, _SURE))
        posterior_NV = attribute.posterior(np.array(phi_VN), prior_NV)
        at = f"attribute.{column}."
        return pl.DataFrame(
            {
                "example_id": rows.ids,
                f"{at}member": pl.Series(member_N, dtype=pl.Boolean),
                f"{at}imputation": prior_NV.argmax(1) == value_N,
                f"{at}posterior": posterior_NV.argmax(1) == value_N,
                f"{at}nats": attribute.gain(posterior_NV, prior_NV, value_N).nats_N,
            }
        )

    def summarise(
        self, ledger: LedgerReader, subject: Subject, config: AttributeInferenceConfig
    ) -> list[Measurement]:
        """Accuracies of both guesses, the gain on either side, and the leak, of each column."""
        found: list[Measurement] = []
        for column in _columns(subject, config):
            found += self._of_column(ledger, column, config.confidence)
        return found

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: AttributeInferenceConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`gain`: column, of (members, non-members, or the leak between them), value, low, high, n."""
        rows: list[dict[str, Any]] = [
            {
                "column": m.where["column"],
                "of": m.where.get("of", "leak"),
                "value": m.value,
                "low": m.low,
                "high": m.high,
                "n": m.n,
            }
            for m in self.summarise(ledger, subject, config)
            if m.metric in ("attribute_gain", "attribute_leak")
        ]
        return {"gain": pl.DataFrame(rows)}

    def _of_column(self, ledger: LedgerReader, column: str, confidence: float) -> list[Measurement]:
        at = f"attribute.{column}."
        names = ("member", "imputation", "posterior", "nats")
        rows = ledger.scan(*[at + name for name in names]).drop_nulls(at + "member").collect()
        member_N = rows[at + "member"].to_numpy()
        right = {name: rows[at + name].to_numpy() for name in ("posterior", "imputation")}

        def measurement(metric: str, value: float, n: int, limits: Any, **more: Any) -> Measurement:
            facts: dict[str, Any] = {"better": "lower", "where": {"column": column, **more.pop("where", {})}}
            return Measurement(
                check=self.id,
                metric=metric,
                value=value,
                low=limits.low,
                high=limits.high,
                confidence=confidence,
                n=n,
                evidence=(at + "member", at + "posterior", at + "imputation"),
                **{**facts, **more},
            )

        found = []
        for side, is_member in _SIDES.items():
            chosen_N, n = member_N == is_member, int((member_N == is_member).sum())
            for attack, right_N in right.items():
                hits = int(right_N[chosen_N].sum())
                found.append(
                    measurement(
                        "attribute_accuracy",
                        hits / n,
                        n,
                        wilson(hits, n, confidence),
                        where={"of": side, "attack": attack},
                        method="fredrikson2015" if attack == "posterior" else "jayaraman2022",
                        better="lower" if attack == "posterior" else "neither",
                    )
                )
        gains: list[Any] = []
        for side, is_member in _SIDES.items():
            chosen_N = member_N == is_member
            posterior_N, imputation_N = (right_N[chosen_N] for right_N in right.values())
            value = float(posterior_N.mean() - imputation_N.mean())
            gains += [value, paired_difference(posterior_N, imputation_N, confidence)]
            found.append(
                measurement(
                    "attribute_gain",
                    value,
                    len(posterior_N),
                    gains[-1],
                    where={"of": side},
                    method="bonett2012",
                )
            )
        found.append(
            measurement(
                "attribute_leak", gains[0] - gains[2], len(member_N), difference(*gains), method="zou2008"
            )
        )
        nats_N = rows[at + "nats"].to_numpy()
        inside, outside = nats_N[member_N], nats_N[~member_N]
        found.append(
            measurement(
                "attribute_leak_nats",
                float(inside.mean() - outside.mean()),
                len(member_N),
                mean_gap(inside, outside, confidence),
                unit="nats",
                method="welch1947",
            )
        )
        return found


def _schema(subject: Subject) -> TableSchema:
    space = subject.dataset.space
    assert isinstance(space, TableSchema)
    return space


def _columns(subject: Subject, config: AttributeInferenceConfig) -> list[str]:
    """The columns asked for, or the group columns that the model reads as categories."""
    kinds = {column.name: column for column in _schema(subject).columns}
    for name in config.columns or ():
        if name not in kinds:
            raise UnknownNameError("column", name, kinds)
    wanted = config.columns or tuple(name for name in subject.dataset.group_names if name in kinds)
    fitting = [name for name in wanted if kinds[name].kind == "category" and kinds[name].width > 1]
    if config.columns and len(fitting) < len(config.columns):
        other = next(name for name in config.columns if name not in fitting)
        raise CapabilityError(
            f"column {other!r} is no category of two values or more",
            where=f"{AttributeInference.id} columns",
            remedy="name columns of categories",
        )
    if not fitting:
        raise CapabilityError(
            "no group column is a category that the model reads",
            where=f"{AttributeInference.id} columns",
            remedy="name the sensitive columns in `columns`",
        )
    return fitting
