"""What the scores of the canaries amount to: lower bounds on ε, their power, and what they leave of a claim.

Each kind of canary is a game of its own; the error that the confidence allows is shared out among the kinds,
so that what one bound says of all kinds holds together. The (ε, δ) bound and the f-DP bound of a kind rest on
the same guesses, each at that confidence; the margin, which refutes a claim, is of the f-DP bound alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from raiaudit.audit.measurement import Measurement, Scalar
from raiaudit.audit.privacy.epsilon import one_run
from raiaudit.audit.privacy.epsilon.f_dp import (
    gaussian,
    gaussian_epsilon_lower,
    refuted,
    subsampled,
    subsampled_epsilon_lower,
)
from raiaudit.audit.statistics.intervals import auc_delong, mean_bootstrap
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from collections.abc import Callable

    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.privacy.epsilon.canaries import CanaryConfig
    from raiaudit.audit.subject import Subject
    from raiaudit.models.version import PrivacyRecord

__all__ = ["bar", "found_by"]

_MANY = 100_000
_CLASSIC, _CURVE = "(ε, δ)", "f-DP"
_METHODS = {_CLASSIC: "steinke2023", _CURVE: "mahloujifar2025"}


def found_by(
    check: str, kind: str, kinds: int, ledger: LedgerReader, subject: Subject, config: CanaryConfig
) -> list[Measurement]:
    """All that one kind of canary showed."""
    used = (f"canary.{kind}.included", f"canary.{kind}.score")
    rows = ledger.scan(*used).drop_nulls(used).collect()
    included_M, scores_M = rows[used[0]].to_numpy(), rows[used[1]].to_numpy()
    privacy = subject.record.privacy
    confidence = 1 - (1 - config.confidence) / kinds
    delta = config.delta if privacy is None else privacy.delta
    M, k = len(rows), _each_side(len(rows), config)
    game = one_run.play(scores_M, included_M, k_in=k, k_out=k)
    white = kind == "gradient"
    where: dict[str, Scalar] = {
        "canaries": kind,
        "space": "gradient" if white else "input",
        "threat_model": "white-box, all updates" if white else "black-box, final model",
    }

    def measurement(metric: str, value: float | None = None, **more: Any) -> Measurement:
        facts = {"n": M, "better": "lower", "confidence": confidence, "evidence": used, **more}
        facts["where"] = where | facts.get("where", {})
        return Measurement(check=check, metric=metric, value=value, **facts)

    bounds = _bounds(privacy, delta, confidence)
    caps = {name: bound(one_run.Game(M, 2 * k, 2 * k)) for name, bound in bounds.items()}
    found, shown = [], {}
    for name, bound in bounds.items():
        at: dict[str, Any] = {"where": {"bound": name, "delta": delta}, "method": _METHODS[name]}
        if caps[name] == 0:
            found.append(
                measurement(
                    "epsilon_lower_bound", None, reason=_too_few(name, M, config, delta, confidence), **at
                )
            )
            continue
        shown[name] = bound(game)
        found.append(measurement("epsilon_lower_bound", shown[name], cap=caps[name], **at))
        found.append(measurement("epsilon_power_cap", caps[name], **{**at, "better": "higher"}))
    if privacy is not None:
        found.append(
            measurement(
                "epsilon_margin",
                better="higher",
                where={"bound": _CURVE, "delta": delta},
                method=_METHODS[_CURVE],
                **_margin(privacy, shown.get(_CURVE), caps[_CURVE], where, M, config, confidence),
            )
        )
    area = auc_delong(scores_M[included_M], scores_M[~included_M])
    known = area.value is not None
    found.append(
        measurement(
            "canary_auc",
            area.value,
            low=area.low if known else None,
            high=area.high if known else None,
            confidence=0.95,
            method="delong1988",
            reason=None if known else "no canary was in, or none was out",
        )
    )
    from raiaudit.attacks.inference.exposure import from_rank

    enough = included_M.sum() >= 2 and not included_M.all()
    exposure_I = from_rank(-scores_M[included_M], -scores_M[~included_M]) if enough else np.empty(0)
    interval = (
        mean_bootstrap(exposure_I, rng=keyed_rng(subject.seed, check, kind, "exposure")) if enough else None
    )
    found.append(
        measurement(
            "canary_exposure",
            float(exposure_I.mean()) if enough else None,
            low=interval.low if interval else None,
            high=interval.high if interval else None,
            confidence=0.95,
            unit="bits",
            method="secretsharer2019",
            reason=None if enough else "fewer than two canaries were in, or none was out",
        )
    )
    return found


def bar(found: list[Measurement], privacy: PrivacyRecord | None) -> pl.DataFrame:
    """The two sides of ε, a row a kind and bound: low (shown), cap (could be shown), high (accountant)."""
    caps = {_slot(m): m.value for m in found if m.metric == "epsilon_power_cap"}
    rows = [
        {
            "canaries": m.where["canaries"],
            "threat_model": m.where["threat_model"],
            "bound": m.where["bound"],
            "delta": m.where["delta"],
            "confidence": m.confidence,
            "low": m.value,
            "cap": caps.get(_slot(m)),
            "high": None if privacy is None else privacy.epsilon_pld,
            "high_prv": None if privacy is None else privacy.epsilon_prv,
            "certified": privacy is not None and privacy.certified,
        }
        for m in found
        if m.metric == "epsilon_lower_bound"
    ]
    numbers = dict.fromkeys(("low", "cap", "high", "high_prv"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=numbers)


def _each_side(M: int, config: CanaryConfig) -> int:
    """How many are guessed in, and as many out."""
    return min(round(config.guesses * M), M // 2)


def _slot(m: Measurement) -> tuple[Scalar, Scalar]:
    return m.where["canaries"], m.where["bound"]


def _bounds(
    privacy: PrivacyRecord | None, delta: float, confidence: float
) -> dict[str, Callable[[one_run.Game], float]]:
    """The (ε, δ) bound, and that within the family of mechanisms the recipe belongs to."""

    def classic(game: one_run.Game) -> float:
        return one_run.epsilon_lower(game, delta=delta, confidence=confidence)

    def curve(game: one_run.Game) -> float:
        if privacy is None:
            return gaussian_epsilon_lower(game, delta=delta, confidence=confidence)
        return subsampled_epsilon_lower(
            game,
            sample_rate=privacy.sample_rate,
            steps=privacy.steps,
            delta=delta,
            confidence=confidence,
        )

    return {_CLASSIC: classic, _CURVE: curve}


def _enough(privacy: PrivacyRecord, M: int, config: CanaryConfig, confidence: float) -> str:
    """The first doubling of M with which a perfect attack refutes the claim."""
    curve = subsampled(privacy.noise_multiplier, privacy.sample_rate, privacy.steps)
    while M < _MANY:
        M *= 2
        guesses = 2 * _each_side(M, config)
        if refuted(curve, one_run.Game(M, guesses, guesses), confidence=confidence):
            return f"{M:,}"
    return f"not even {M:,}"


def _too_few(bound: str, M: int, config: CanaryConfig, delta: float, confidence: float) -> str:
    """The fewest canaries of which a perfect attack shows anything, or that no number does."""

    def shows(count: int) -> bool:
        perfect = one_run.Game(count, *[2 * _each_side(count, config)] * 2)
        if bound == _CLASSIC:
            return one_run.p_value(perfect, 0.0, delta=delta) <= 1 - confidence
        return refuted(gaussian(0.0), perfect, confidence=confidence)

    guesses = 2 * _each_side(M, config)
    text = f"with {guesses} guesses not even a perfect attack shows anything at {confidence:.3g}"
    low, high = M, 2 * M
    while not shows(high):
        if high > _MANY:
            return (
                f"{text}, and at δ = {delta:g} no number of canaries would: guess at a larger share "
                f"(guesses, now {config.guesses:g}), or go by the {_CURVE} bound"
            )
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return f"{text}: at least {high:,} canaries are needed"


def _margin(
    privacy: PrivacyRecord,
    shown: float | None,
    cap: float,
    where: dict[str, Scalar],
    M: int,
    config: CanaryConfig,
    confidence: float,
) -> dict[str, Any]:
    """The claim less what was shown; undefined where a perfect attack could not have refuted the claim."""
    claim = privacy.epsilon_pld
    if shown is None:
        return {"reason": _too_few(_CURVE, M, config, privacy.delta, confidence)}
    if cap <= claim:
        return {
            "reason": f"{M} canaries cannot refute ε = {claim:.3g}: a perfect attack shows {cap:.3g}; "
            f"{_enough(privacy, M, config, confidence)} could"
        }
    if shown <= claim:
        return {"value": claim - shown}
    return {
        "value": claim - shown,
        "reason": f"the claim of ε = {claim:.3g} is refuted: {where['canaries']} canaries show at least "
        f"{shown:.3g} ({where['threat_model']}, confidence {confidence:.3g})",
        "doubts": ("epsilon",),
    }
