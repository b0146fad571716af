"""How well a membership score separates: AUC, advantage, TPR at small FPR, and AUC by group.

The attack that a spec names first is its headline. Measurements of the others stand `beside` it: a gate
judges them only if it names their attack.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raiaudit.audit.measurement import Measurement, Scalar
from raiaudit.audit.privacy.inference.membership_summary import parted
from raiaudit.audit.privacy.inference.rates import advantage, tpr_at_fpr
from raiaudit.audit.statistics.intervals import auc_delong
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.ledger import LedgerReader

__all__ = ["Attacked", "by_group", "method_of", "of_attack", "undefined"]

_GROUP = "membership.group."
_SMALLEST_GROUP = 10  # members and non-members, each
_METHODS = {
    "loss": "yeom2018",
    "confidence": "salem2019",
    "entropy": "song2021",
    "modified_entropy": "song2021",
    "quantile": "bertran2023",
    "lira": "carlini2022",
    "rmia": "zarifzadeh2024",
    "base": "lassila2025",
    "bavaria": "brannvall2026",
}


@dataclass(frozen=True, slots=True)
class Attacked:
    """Whose score is judged: the check, the attack, the ledger columns, and whether it is the headline.

    `levels`: how many steps a score has that is a share of so many (RMIA's population); None: any.
    """

    check: str
    attack: str
    evidence: tuple[str, ...]
    seed: int
    method: str
    first: bool = True
    levels: int | None = None

    def measurement(self, metric: str, value: float | None, n: int, **more: Any) -> Measurement:
        """Lower is better unless said otherwise."""
        return Measurement(
            check=self.check,
            metric=metric,
            value=value,
            n=n,
            where={"attack": self.attack, **more.pop("where", {})},
            evidence=self.evidence,
            beside=None if self.first else "attack",
            **{"better": "lower", **more},
        )


def method_of(attack: str) -> str:
    """The citation of an attack, by its name or that of its family."""
    return _METHODS.get(attack) or _METHODS[attack.split("_")[0]]


def of_attack(of: Attacked, scores: pl.DataFrame, rates: tuple[float, ...]) -> list[Measurement]:
    """AUC, advantage, and TPR with the FPR that was realised, at each rate."""
    inside, outside = parted(scores)
    area = auc_delong(inside, outside)
    found = [
        of.measurement(
            "membership_auc",
            area.value,
            len(scores),
            low=area.low if area.value is not None else None,
            high=area.high if area.value is not None else None,
            method="delong1988",
            reason=None if area.value is not None else "there are no members or no non-members",
        )
    ]
    gain = advantage(inside, outside, keyed_rng(of.seed, of.check, of.attack, "advantage"))
    found.append(
        of.measurement(
            "membership_advantage",
            gain.value if gain else None,
            gain.n if gain else len(scores),
            low=gain.interval.low if gain else None,
            high=gain.interval.high if gain else None,
            method="yeom2018",
            reason=None if gain else "fewer than two members or non-members",
        )
    )
    for rate in rates:
        found += _at_rate(of, scores, rate)
    return found


def _at_rate(of: Attacked, scores: pl.DataFrame, rate: float) -> list[Measurement]:
    inside, outside = parted(scores)
    where = {"fpr": rate}
    best = max(inside.max(initial=-math.inf), outside.max(initial=-math.inf))
    tied = float((outside == best).mean()) if len(outside) else 0.0
    cell, why = tpr_at_fpr(inside, outside, rate, keyed_rng(of.seed, of.check, of.attack, "tpr", rate))
    if cell is not None and of.levels is not None and rate * of.levels < 1 - 1e-9:
        needed = math.ceil(1 / rate - 1e-9)
        cell = None
        why = (
            f"{of.attack} is a share of a population of {of.levels}, whose smallest step is larger "
            f"than this rate: a population of {needed} would do"
        )
    elif cell is not None and tied > rate:
        cell = None
        why = f"{tied:.1%} of the non-members share the highest score of all: no threshold has this rate"
    if cell is None:
        return [of.measurement("tpr_at_fpr", None, len(scores), where=where, method=of.method, reason=why)]
    return [
        of.measurement(
            "tpr_at_fpr",
            cell.tpr,
            len(inside),
            low=cell.tpr_interval.low,
            high=cell.tpr_interval.high,
            where=where,
            method=of.method,
        ),
        of.measurement(
            "realised_fpr",
            cell.fpr,
            cell.n_out,
            low=cell.fpr_interval.low,
            high=cell.fpr_interval.high,
            where=where,
            better="neither",
            method="clopper1934",
        ),
    ]


def undefined(of: Attacked, rates: tuple[float, ...], why: str) -> list[Measurement]:
    """What an attack that could not run would have measured."""
    return [
        of.measurement("membership_auc", None, 0, method="delong1988", reason=why),
        of.measurement("membership_advantage", None, 0, method="yeom2018", reason=why),
        *(
            of.measurement("tpr_at_fpr", None, 0, where={"fpr": rate}, method=of.method, reason=why)
            for rate in rates
        ),
    ]


def by_group(of: Attacked, ledger: LedgerReader, scores: pl.DataFrame) -> list[Measurement]:
    """AUC within each group; its own metric, so that a gate on the whole does not select small groups."""
    attributes = sorted(column for column in ledger.columns() if column.startswith(_GROUP))
    found = []
    for column in attributes:
        rows = scores.join(ledger.scan(column).collect(), on="example_id").drop_nulls(column)
        for (group,), part in sorted(rows.group_by(column), key=lambda item: str(item[0])):
            inside, outside = parted(part)
            enough = min(len(inside), len(outside)) >= _SMALLEST_GROUP
            area = auc_delong(inside, outside) if enough else None
            where: dict[str, Scalar] = {
                "attribute": column.removeprefix(_GROUP),
                "group": str(group),
            }
            found.append(
                of.measurement(
                    "group_membership_auc",
                    area.value if area else None,
                    len(part),
                    low=area.low if area else None,
                    high=area.high if area else None,
                    where=where,
                    method="delong1988",
                    reason=None
                    if area
                    else f"{len(inside)} members and {len(outside)} non-members: "
                    f"at least {_SMALLEST_GROUP} of each are needed",
                )
            )
    return found
