"""What the rows of `privacy.membership` amount to: one score a point, and how well it separates."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from raiaudit.audit.measurement import Measurement, Scalar
from raiaudit.audit.privacy.rates import advantage, tpr_at_fpr
from raiaudit.audit.statistics.intervals import auc_delong
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.attacks.inference import Signals
    from raiaudit.audit.ledger import LedgerReader

__all__ = ["Attack", "by_group", "membership_scores", "of_attack", "parted", "signals_of", "strongest"]

Attack = Literal["lira", "loss"]

_SHADOW = re.compile(r"membership\.shadow\.\d+\.phi")
_PHI = "membership.phi"
_GROUP = "membership.group."
_SMALLEST_GROUP = 10  # members and non-members, each


def membership_scores(ledger: LedgerReader, attack: Attack | None = None, *, phi: str = _PHI) -> pl.DataFrame:
    """example_id, score (larger: more likely a member), member. Default: LiRA where shadows were trained.

    `phi` is the column of the target's φ; another one asks what the attack would say of another model.
    """
    if attack is None:
        attack = strongest(ledger)
    if attack == "loss":
        held = "membership.loss.score" if phi == _PHI else phi
        rows = ledger.scan(held, "membership.member").drop_nulls().collect()
        values = rows[held].to_numpy().astype(np.float64)
        score = values if phi == _PHI else -np.logaddexp(0.0, -values)
    else:
        from raiaudit.attacks.inference import INFERENCE

        rows, signals = signals_of(ledger, phi)
        score = INFERENCE["lira"](signals)
    return rows.select("example_id", pl.Series("score", score), member=pl.col("membership.member"))


def strongest(ledger: LedgerReader) -> Attack:
    """The strongest attack that the ledger has the signals for."""
    return "lira" if any(_SHADOW.fullmatch(column) for column in ledger.columns()) else "loss"


def signals_of(ledger: LedgerReader, phi: str = _PHI) -> tuple[pl.DataFrame, Signals]:
    """Rows with example_id and membership.member, and the signals of the same points: target and shadows."""
    from raiaudit.attacks.inference import Signals

    shadows = sorted(column for column in ledger.columns() if _SHADOW.fullmatch(column))
    keeps = [column.removesuffix("phi") + "keep" for column in shadows]
    wanted = [phi, "membership.member", *shadows, *keeps]
    rows = ledger.scan(*wanted).drop_nulls(wanted).collect()
    signals = Signals(
        rows[phi].to_numpy().astype(np.float64),
        rows.select(shadows).to_numpy().T.astype(np.float64),
        rows.select(keeps).to_numpy().T,
    )
    return rows, signals


def parted(scores: pl.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of members, scores of non-members."""
    score, member = scores["score"].to_numpy(), scores["member"].to_numpy()
    return score[member], score[~member]


def of_attack(
    check: str, attack: str, scores: pl.DataFrame, rates: tuple[float, ...], seed: int
) -> list[Measurement]:
    """AUC, advantage, and TPR with the FPR that was realised, at each rate."""
    inside, outside = parted(scores)
    used = _evidence(attack)

    def measurement(metric: str, value: float | None, n: int, **more: Any) -> Measurement:
        where = {"attack": attack, **more.pop("where", {})}
        return Measurement(check=check, metric=metric, value=value, n=n, where=where, evidence=used, **more)

    area = auc_delong(inside, outside)
    found = [
        measurement(
            "membership_auc",
            area.value,
            len(scores),
            low=area.low if area.value is not None else None,
            high=area.high if area.value is not None else None,
            better="lower",
            method="delong1988",
            reason=None if area.value is not None else "there are no members or no non-members",
        )
    ]
    gain = advantage(inside, outside, keyed_rng(seed, check, attack, "advantage"))
    found.append(
        measurement(
            "membership_advantage",
            gain.value if gain else None,
            gain.n if gain else len(scores),
            low=gain.interval.low if gain else None,
            high=gain.interval.high if gain else None,
            better="lower",
            method="yeom2018",
            reason=None if gain else "fewer than two members or non-members",
        )
    )
    for rate in rates:
        cell, why = tpr_at_fpr(inside, outside, rate, keyed_rng(seed, check, attack, "tpr", rate))
        where = {"fpr": rate}
        if cell is None:
            found.append(
                measurement(
                    "tpr_at_fpr",
                    None,
                    len(scores),
                    where=where,
                    better="lower",
                    method="carlini2022",
                    reason=why,
                )
            )
            continue
        found.append(
            measurement(
                "tpr_at_fpr",
                cell.tpr,
                len(inside),
                low=cell.tpr_interval.low,
                high=cell.tpr_interval.high,
                where=where,
                better="lower",
                method="carlini2022",
            )
        )
        found.append(
            measurement(
                "realised_fpr",
                cell.fpr,
                cell.n_out,
                low=cell.fpr_interval.low,
                high=cell.fpr_interval.high,
                where=where,
                better="neither",
                method="clopper1934",
            )
        )
    return found


def by_group(check: str, attack: str, ledger: LedgerReader, scores: pl.DataFrame) -> list[Measurement]:
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
                "attack": attack,
                "attribute": column.removeprefix(_GROUP),
                "group": str(group),
            }
            found.append(
                Measurement(
                    check=check,
                    metric="group_membership_auc",
                    value=area.value if area else None,
                    low=area.low if area else None,
                    high=area.high if area else None,
                    n=len(part),
                    better="lower",
                    where=where,
                    method="delong1988",
                    reason=None
                    if area
                    else f"{len(inside)} members and {len(outside)} non-members: "
                    f"at least {_SMALLEST_GROUP} of each are needed",
                    evidence=(*_evidence(attack), column),
                )
            )
    return found


def _evidence(attack: str) -> tuple[str, ...]:
    if attack == "loss":
        return ("membership.member", "membership.loss.score")
    return ("membership.member", "membership.phi", "membership.shadow.*")
