"""What the evasion check adds for texts: the model as attacks see it, and whether constraints were kept.

Ledger columns, beside those of `evasion`, for attacks that change words under constraints:
`evasion.<tag>.similarity`, `.mean_similarity` (cosines over the changes), `.satisfied`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from raiaudit.audit.measurement import Measurement
from raiaudit.audit.robustness.evasion_summary import tag
from raiaudit.audit.statistics.intervals import mean_bootstrap, wilson
from raiaudit.audit.statistics.keyed import keyed_rng

if TYPE_CHECKING:
    from raiaudit.attacks.evasion.base import AttackResult, EvasionAttack, LogitsOf
    from raiaudit.attacks.threats import Norm
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Scalar
    from raiaudit.audit.subject import Subject

__all__ = ["constraint_columns", "constraints", "for_texts"]

_NAMES = ("similarity", "mean_similarity", "satisfied")


def for_texts(attack: EvasionAttack, subject: Subject) -> tuple[EvasionAttack, LogitsOf]:
    """The attack with the words of the training split, where it takes them, and the model on texts."""
    from raiaudit.attacks.evasion.texts.lexicon import Lexicon
    from raiaudit.attacks.evasion.texts.substitution import Substitution
    from raiaudit.models.architectures.text_classifier import OnTexts, TextClassifier

    if isinstance(attack, Substitution) and "train" in subject.dataset.splits:
        train = subject.dataset.splits["train"]
        attack = replace(attack, lexicon=Lexicon.of(train.inputs, train.labels.tolist()))
    classifier = subject.classifier
    if isinstance(classifier, TextClassifier):
        return attack, OnTexts(classifier)
    return attack, lambda texts: classifier(subject.tensor(texts))


def constraint_columns(at: str, result: AttackResult) -> dict[str, pl.Series]:
    """The columns of an attack under constraints; none of another."""
    return {
        f"{at}.{name}": pl.Series(result.details[name].cpu().numpy())
        for name in _NAMES
        if name in result.details
    }


def constraints(
    check: str, ledger: LedgerReader, norm: Norm, eps: float, attack: str, *, seed: int
) -> list[Measurement]:
    """Among the texts an attack broke: the share that kept every constraint, and the mean similarity.

    Nothing for an attack that has no constraints.
    """
    at = f"evasion.{tag(norm, eps, attack)}"
    where: dict[str, Scalar] = {"norm": norm, "eps": eps, "attack": attack}
    columns = [f"{at}.{name}" for name in ("broken", "clean_broken", *_NAMES)]
    if not set(columns) <= ledger.columns():
        return []
    rows = ledger.scan(*columns).drop_nulls(columns).collect()
    broken = rows.filter(pl.col(f"{at}.broken") & ~pl.col(f"{at}.clean_broken"))
    n, kept = broken.height, int(broken[f"{at}.satisfied"].sum())
    similarity = broken[f"{at}.mean_similarity"].drop_nans().to_numpy()
    share = wilson(kept, n) if n else (None, None)
    told = len(similarity)
    spread = mean_bootstrap(similarity, rng=keyed_rng(seed, check, at)) if told > 1 else (None, None)
    reason = None if n else "the attack broke no text: there is nothing to judge"
    return [
        Measurement(
            check=check,
            metric="constraints_satisfied",
            value=kept / n if n else None,
            low=share[0],
            high=share[1],
            n=n,
            better="higher",
            where=where,
            method="wilson1927",
            reason=reason,
            evidence=(f"{at}.satisfied",),
        ),
        Measurement(
            check=check,
            metric="similarity_of_changes",
            value=float(similarity.mean()) if told else None,
            low=spread[0],
            high=spread[1],
            n=told,
            unit="cosine",
            better="neither",
            where=where,
            method="efron1987",
            reason=reason,
            evidence=(f"{at}.mean_similarity",),
        ),
    ]
