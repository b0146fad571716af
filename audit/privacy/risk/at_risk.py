"""Who is at risk: groups whose membership shows more, the most exposed people, and who would be next.

Reads the rows of `privacy.membership` in the same audit and asks the model nothing. Only with `onion` is
there work of its own: the target's recipe is trained again without the most exposed members. Who they are
is known once membership has run, so these tasks are listed in `follow_up`.

Evidence names examples by id alone; `show: labels` adds what they are labelled. Inputs are never shown.

Ledger columns, with `onion`: `at_risk.onion.<exposed|random>.phi` and `.removed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.fairness.by_group.reporting import Reporter
from raiaudit.audit.fairness.counting.cells import UNKNOWN
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.privacy.inference.membership_attacks import RESCORED
from raiaudit.audit.privacy.inference.membership_summary import Attack, headline, membership_scores, parted
from raiaudit.audit.privacy.inference.rates import threshold_at_fpr
from raiaudit.audit.privacy.risk.exposed_examples import exposed_examples
from raiaudit.audit.privacy.risk.onion import REMOVALS, newly_exposed, onion_measurements, onion_tasks, peel
from raiaudit.audit.privacy.risk.risk_by_group import Scored, adjusted, risk_by_group
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.models.numbers import Fraction

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.privacy.inference.rates import Threshold
    from raiaudit.audit.subject import Subject

__all__ = ["AtRisk", "AtRiskConfig"]

_MEMBER = "membership.member"
_GROUP = "membership.group."
_NO_ROWS = "the ledger has no membership rows: add `use: privacy.membership` to the spec"


class AtRiskConfig(CheckConfig):
    """At which false-positive rate people count as found, and how much is told about them."""

    fpr: Fraction = Field(default=0.1, gt=0, lt=1, description="of the one threshold all are held against")
    exposed: int = Field(default=20, ge=0, description="how many of the most exposed members are listed")
    show: Literal["ids", "labels"] = Field(default="ids", description="what the list tells of each")
    onion: Fraction = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the members taken out to see who is exposed next; 0: off",
    )
    min_group: int = Field(default=10, ge=2, description="fewest members, and non-members, of a group")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="of all intervals")
    permutations: int = Field(default=1999, ge=99, description="draws of the tests between groups")


class AtRisk:
    """No tasks but those of the onion, which follow when membership is known."""

    id: ClassVar[str] = "privacy.at_risk"
    version: ClassVar[int] = 1
    question: ClassVar[str] = (
        "Whose membership shows most: which groups, which people, and who would be next?"
    )
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.TRAINING_DATA})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = AtRiskConfig

    def tasks(self, subject: Subject, config: AtRiskConfig) -> Sequence[Task]:
        """None: what is read is there already."""
        return []

    def follow_up(self, ledger: LedgerReader, subject: Subject, config: AtRiskConfig) -> Sequence[Task]:
        """The two trainings of the onion, where it is asked for and possible."""
        if not config.onion or _why_no_onion(ledger, subject):
            return []
        if _held_against_all(ledger, config, subject.seed).threshold is None:
            return []  # nobody could be called exposed, whoever is taken out
        attack = headline(ledger)
        scores = membership_scores(ledger, attack)
        return onion_tasks(self.id, self.version, attack, scores, config.onion, subject.seed)

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Train without the removed members and take φ of the pool."""
        return peel(task, subject)

    def summarise(self, ledger: LedgerReader, subject: Subject, config: AtRiskConfig) -> list[Measurement]:
        """Rates, gaps and tests of every group column, then what the onion showed."""
        if _MEMBER not in ledger.columns():
            return [_undefined("group_tpr", _NO_ROWS)]
        held = _held_against_all(ledger, config, subject.seed)
        found = self._by_group(ledger, subject, config, held)
        if config.onion:
            found += self._onion(ledger, subject, config, held)
        return found

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: AtRiskConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`exposed`: the most exposed members; `by_group`: rates as a table; `next`: who is newly exposed."""
        if _MEMBER not in ledger.columns():
            return {}
        held = _held_against_all(ledger, config, subject.seed)
        tables: dict[str, pl.DataFrame] = {}
        if config.exposed:
            listed = exposed_examples(ledger, held.attack, held.scores, config.exposed)
            tables["exposed"] = listed if config.show == "ids" else _labelled(listed, subject)
        measured = self._by_group(ledger, subject, config, held)
        if rates := [m for m in measured if "group" in m.where]:
            tables["by_group"] = _table(rates)
        if config.onion and held.threshold is not None and _peeled(ledger):
            rows = newly_exposed(ledger, held.attack, held.scores, held.threshold.value)
            tables["next"] = rows.filter("exposed").select("example_id", "score", also_at_random="random")
        return tables

    def _by_group(
        self, ledger: LedgerReader, subject: Subject, config: AtRiskConfig, held: _Held
    ) -> list[Measurement]:
        columns = sorted(column for column in ledger.columns() if column.startswith(_GROUP))
        if not columns:
            return [_undefined("group_tpr", "the data set has no group columns")]
        if held.threshold is None:
            return [_undefined("group_tpr", held.why)]
        scored = Scored(*parted(held.scores), held.threshold)
        found: list[Measurement] = []
        for column in columns:
            levels = ledger.scan(column).collect()
            rows = held.scores.join(levels, on="example_id", how="left", maintain_order="left")
            member = rows["member"].to_numpy()
            report = Reporter(
                check=self.id,
                attribute=column.removeprefix(_GROUP),
                reference=UNKNOWN,
                confidence=config.confidence,
                seed=subject.seed,
                draws=config.permutations,
                evidence=(_MEMBER, "membership.phi", column),
                where={"attack": held.attack, "fpr": config.fpr},
            )
            inside, outside = (rows[column].filter(pl.Series(side)) for side in (member, ~member))
            found += risk_by_group(report, scored, inside, outside, config.min_group)
        return adjusted(found)

    def _onion(
        self, ledger: LedgerReader, subject: Subject, config: AtRiskConfig, held: _Held
    ) -> list[Measurement]:
        reason = _why_no_onion(ledger, subject) or held.why or None
        rows = pl.DataFrame({"example_id": [], "exposed": [], "random": []})
        if held.threshold is not None and reason is None:
            rows = newly_exposed(ledger, held.attack, held.scores, held.threshold.value)
        where = {"attack": held.attack, "fpr": config.fpr, "share": config.onion}
        return onion_measurements(
            rows, check=self.id, confidence=config.confidence, where=where, reason=reason
        )


@dataclass(frozen=True, slots=True)
class _Held:
    """The headline attack's scores, and the one threshold all are held against, or why there is none."""

    attack: Attack
    scores: pl.DataFrame
    threshold: Threshold | None
    why: str


def _held_against_all(ledger: LedgerReader, config: AtRiskConfig, seed: int) -> _Held:
    attack = headline(ledger)
    scores = membership_scores(ledger, attack)
    inside, outside = parted(scores)
    if not (len(inside) and len(outside)):
        return _Held(attack, scores, None, "there are no members or no non-members")
    rng = keyed_rng(seed, AtRisk.id, attack, config.fpr)
    return _Held(attack, scores, *threshold_at_fpr(outside, config.fpr, rng))


def _why_no_onion(ledger: LedgerReader, subject: Subject) -> str | None:
    if _MEMBER not in ledger.columns():
        return _NO_ROWS
    if Capability.RETRAINING not in subject.capabilities:
        return "how this model was trained is not known, so it cannot be trained without anybody"
    if (attack := headline(ledger)) not in RESCORED:
        return (
            f"what {attack} would say of a model trained anew cannot be told from its φ: name another first"
        )
    return None


def _peeled(ledger: LedgerReader) -> bool:
    return {f"at_risk.onion.{removal}.phi" for removal in REMOVALS} <= ledger.columns()


def _labelled(listed: pl.DataFrame, subject: Subject) -> pl.DataFrame:
    train = subject.dataset.splits["train"]
    names = np.asarray(subject.dataset.classes)[np.asarray(train.labels)]
    labels = pl.DataFrame({"example_id": train.ids, "label": names.tolist()})
    return listed.join(labels, on="example_id", how="left", maintain_order="left")


def _table(rates: Sequence[Measurement]) -> pl.DataFrame:
    rows: list[dict[str, Any]] = [
        {
            "attribute": m.where["attribute"],
            "group": m.where["group"],
            "metric": m.metric,
            "fpr": m.where["fpr"],
            "attack": m.where["attack"],
            "value": m.value,
            "low": m.low,
            "high": m.high,
            "n": m.n,
            "note": m.reason,
        }
        for m in rates
    ]
    kinds = {"value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "note": pl.String}
    return pl.DataFrame(rows, schema_overrides=kinds)


def _undefined(metric: str, reason: str) -> Measurement:
    return Measurement(
        check=AtRisk.id, metric=metric, value=None, n=0, better="lower", method="clopper1934", reason=reason
    )
