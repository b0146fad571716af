"""What the rows of `privacy.membership` say of each point: its signals, and the score of every attack."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.privacy.inference.membership_attacks import (
    ATTACKS,
    RESCORED,
    SHADOW_FREE,
    Attack,
    why_no_score,
)
from raiaudit.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.attacks.inference import Signals
    from raiaudit.audit.ledger import LedgerReader

__all__ = [
    "HEADLINE",
    "Attack",
    "Scores",
    "has_shadows",
    "headline",
    "membership_scores",
    "parted",
    "score_all",
    "signals_of",
]

HEADLINE = "membership.headline."

_SHADOW = re.compile(r"membership\.shadow\.\d+\.phi")
_PHI = "membership.phi"
_MEMBER = "membership.member"
_POPULATION = "membership.population"
_UNCERTAINTY = ("membership.confidence_logit", "membership.entropy", "membership.modified_entropy")
_HELD = {"loss": "membership.loss.score", "quantile": "membership.quantile.score"}
"""Scores that the ledger has: the loss is of the input as it is, φ the mean over queries."""


@dataclass(frozen=True, slots=True)
class Scores:
    """`tables`: example_id, score, member by attack; `reasons` why another has none; Z of the population."""

    tables: dict[Attack, pl.DataFrame]
    reasons: dict[Attack, str]
    population: int


def has_shadows(ledger: LedgerReader) -> bool:
    """Whether shadow models were asked about the points."""
    return any(_SHADOW.fullmatch(column) for column in ledger.columns())


def headline(ledger: LedgerReader) -> Attack:
    """The attack that other checks go by: the first that the spec names and that can run."""
    held = ledger.columns()
    named = (attack for attack in ATTACKS if HEADLINE + attack in held)
    return next(named, "lira" if has_shadows(ledger) else "loss")


def score_all(ledger: LedgerReader, attacks: Iterable[Attack], *, phi: str = _PHI) -> Scores:
    """Every attack's scores from one reading of the ledger; one that cannot says why, the others go on.

    `phi` is the column of the target's φ; another one asks what the attacks would say of another model.
    """
    from raiaudit.attacks.inference import INFERENCE

    tables: dict[Attack, pl.DataFrame] = {}
    reasons: dict[Attack, str] = {}
    population = 0

    @cache
    def read(shadows: bool) -> tuple[pl.DataFrame, Signals]:
        return signals_of(ledger, phi, shadows=shadows)

    for attack in attacks:
        try:
            if attack in _HELD and phi == _PHI:
                score = pl.col(_HELD[attack])
                rows = ledger.scan(_HELD[attack], _MEMBER).drop_nulls().collect()
            else:
                if phi != _PHI and attack not in RESCORED:
                    raise UsageError(f"{attack} takes more of a model than its φ")
                rows, signals = read(attack not in SHADOW_FREE)
                if why := why_no_score(attack, signals):
                    raise UsageError(why)
                population = 0 if signals.population_phi_Z is None else len(signals.population_phi_Z)
                score = pl.lit(pl.Series(INFERENCE[attack](signals)))
            tables[attack] = rows.select("example_id", score=score, member=_MEMBER)
        except UsageError as error:
            reasons[attack] = str(error)
    return Scores(tables, reasons, population)


def membership_scores(ledger: LedgerReader, attack: Attack | None = None, *, phi: str = _PHI) -> pl.DataFrame:
    """example_id, score (larger: more likely a member), member; by default of the headline attack.

    Raises `UsageError` where that attack cannot be scored.
    """
    attack = attack or headline(ledger)
    found = score_all(ledger, [attack], phi=phi)
    if attack in found.reasons:
        raise UsageError(found.reasons[attack], where="privacy.membership")
    return found.tables[attack]


def signals_of(
    ledger: LedgerReader, phi: str = _PHI, *, shadows: bool = True
) -> tuple[pl.DataFrame, Signals]:
    """Rows with example_id and membership.member, and what target and shadows say of the same points.

    Without `shadows` the target's alone. Raises `UsageError` where a φ is no finite number.
    """
    from raiaudit.attacks.inference import Signals, Uncertainty

    held = ledger.columns()
    asked = sorted(column for column in held if _SHADOW.fullmatch(column)) if shadows else []
    keeps = [column.removesuffix("phi") + "keep" for column in asked]
    needed = [phi, *asked, *keeps]
    told = list(_UNCERTAINTY) if phi == _PHI and held.issuperset(_UNCERTAINTY) else []
    marked = [_POPULATION] if _POPULATION in held else []
    every = ledger.scan(*needed, _MEMBER, *told, *marked).drop_nulls(needed).collect()
    rows = every.drop_nulls(_MEMBER)
    nobody = every.filter(_POPULATION) if marked and asked else every.clear()
    signals = Signals(
        _array(rows, [phi])[0],
        _array(rows, asked),
        rows.select(keeps).to_numpy().T if asked else np.empty((0, rows.height), dtype=np.bool_),
        population_phi_Z=_array(nobody, [phi])[0] if nobody.height else None,
        shadow_population_phi_MZ=_array(nobody, asked) if nobody.height else None,
        uncertainty=Uncertainty(*_array(rows, told)) if told else None,
    )
    return rows, signals


def parted(scores: pl.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of members, scores of non-members."""
    score, member = scores["score"].to_numpy(), scores["member"].to_numpy()
    return score[member], score[~member]


def _array(rows: pl.DataFrame, columns: list[str]) -> NDArray[np.float64]:
    """One row a column, float64."""
    return np.array([rows[column].to_numpy() for column in columns], dtype=np.float64).reshape(
        len(columns), rows.height
    )
