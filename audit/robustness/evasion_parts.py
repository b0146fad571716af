"""Who broke what, and whom: parts of an ensemble, classes, how near to an error the survivors came, and
whether the attack had a gradient at all.

All from the ledger's rows of one threat; runs older than a column have nothing to say about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy.special import bdtr

from raiaudit.audit.check import Capability
from raiaudit.audit.measurement import Measurement, Scalar
from raiaudit.audit.robustness.attack_names import facts_of, parts_of
from raiaudit.audit.robustness.evasion_rows import CLEAN
from raiaudit.audit.robustness.evasion_summary import tag
from raiaudit.audit.robustness.reliability_flags import FLAGS
from raiaudit.audit.statistics.intervals import clopper_pearson, wilson

if TYPE_CHECKING:
    from raiaudit.attacks.threats import Norm
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = [
    "ROBUSTNESS_METRICS",
    "SURVIVED",
    "blind_survivors",
    "by_class",
    "class_counts",
    "contributions",
    "margins",
    "part_counts",
]

SURVIVED = "survived"

ROBUSTNESS_METRICS = ("robust_accuracy", "attack_success_rate", "median_norm")
"""Metrics, also those whose name begins so, that mean nothing where the attack cannot be trusted."""


def part_counts(ledger: LedgerReader, norm: Norm, eps: float, attack: str) -> dict[str, int]:
    """Examples by what became of them: "clean" errors, each part in order, "survived"; they add up to n.

    A part that broke nobody has its zero. Nothing of a run that did not record the parts.
    """
    at = f"evasion.{tag(norm, eps, attack)}"
    columns = [f"{at}.broken", f"{at}.found_by"]
    if not set(columns) <= ledger.columns():
        return {}
    rows = ledger.scan(*columns).drop_nulls(columns[0]).collect()
    seen = rows.filter(pl.col(columns[0]))[columns[1]].fill_null(attack)
    tally = {name: int(count) for name, count in seen.value_counts().iter_rows()}
    parts = dict.fromkeys([*parts_of(attack), *sorted(tally.keys() - {CLEAN})])
    survived = rows.height - seen.len()
    return {
        CLEAN: tally.get(CLEAN, 0),
        **{part: tally.get(part, 0) for part in parts},
        SURVIVED: survived,
    }


def contributions(check: str, ledger: LedgerReader, norm: Norm, eps: float, attack: str) -> list[Measurement]:
    """Share of the attacked examples that each part of an ensemble broke first; nothing of a lone attack."""
    counts = part_counts(ledger, norm, eps, attack)
    parts = [part for part in counts if part not in (CLEAN, SURVIVED)]
    n = sum(counts.values())
    if len(parts) < 2 or not n:
        return []
    found = []
    for part in parts:
        low, high = wilson(counts[part], n)
        where: dict[str, Scalar] = {"norm": norm, "eps": eps, "attack": attack, "part": part}
        found.append(
            Measurement(
                check=check,
                metric="attack_contribution",
                value=counts[part] / n,
                low=low,
                high=high,
                n=n,
                better="neither",
                where=where,
                method="wilson1927",
                evidence=(f"evasion.{tag(norm, eps, attack)}.found_by",),
            )
        )
    return found


def class_counts(ledger: LedgerReader, subject: Subject, norm: Norm, eps: float, attack: str) -> pl.DataFrame:
    """A row a class, in order: `class`, `n`, `clean` (right without an attack), `robust` (right under it) and
    `lost`: attacked examples beside the n about which nothing is known.
    """
    at = f"evasion.{tag(norm, eps, attack)}"
    broken, erred = f"{at}.broken", f"{at}.clean_broken"
    spent = f"{at}.forwards"  # null of examples that were not attacked
    rows = ledger.scan(broken, erred, spent).drop_nulls(spent).collect()
    labels = pl.DataFrame({"example_id": subject.test.ids.cast(pl.String), "label": subject.test.labels})
    joined = rows.join(labels, on="example_id", how="inner")
    known = pl.col(broken).is_not_null() & pl.col(erred).is_not_null()
    counted = joined.group_by("label").agg(
        n=known.sum(),
        clean=(known & ~pl.col(erred)).sum(),
        robust=(known & ~pl.col(broken)).sum(),
        lost=(~known).sum(),
    )
    names = subject.dataset.classes
    every = pl.DataFrame(
        {"label": np.arange(len(names)), "class": list(names)},
        schema={"label": counted.schema["label"], "class": pl.String},
    )
    return (
        every.join(counted, on="label", how="left")
        .sort("label")
        .select("class", pl.col("n", "clean", "robust", "lost").fill_null(0).cast(pl.Int64))
    )


def by_class(
    check: str, ledger: LedgerReader, subject: Subject, norm: Norm, eps: float, attack: str
) -> list[Measurement]:
    """`class_robust_accuracy` of each class; undefined of one without attacked examples.

    Of examples that a black box gave no answer about nothing is known: intervals allow for either outcome.
    """
    found = []
    counts = class_counts(ledger, subject, norm, eps, attack)
    silent = not counts["n"].sum()
    for row in counts.iter_rows(named=True):
        n, robust, lost = row["n"], row["robust"], row["lost"]
        low, high = (
            (wilson(robust, n + lost).low, wilson(robust + lost, n + lost).high) if n else (None, None)
        )
        reason = None if n else "no example of this class was attacked"
        if lost or silent:
            reason = f"no answer about {lost} of {n + lost} examples"
        found.append(
            Measurement(
                check=check,
                metric="class_robust_accuracy",
                value=robust / n if n else None,
                low=low,
                high=high,
                n=n,
                better="higher",
                where={"norm": norm, "eps": eps, "attack": attack, "class": row["class"]},
                method="wilson1927",
                reason=reason,
                evidence=(f"evasion.{tag(norm, eps, attack)}.broken",),
            )
        )
    return found


def margins(
    check: str, ledger: LedgerReader, subject: Subject, norm: Norm, eps: float, attack: str
) -> list[Measurement]:
    """`median_margin`: how far from an error the survivors stayed, by the lowest margin seen within reach.

    Of an attack that reports margins, on a model that gives logits; label-only attacks see none.
    """
    at = f"evasion.{tag(norm, eps, attack)}"
    columns = [f"{at}.broken", f"{at}.margin"]
    told = set(columns) <= ledger.columns() and facts_of(attack).knowledge != "label"
    if not told or Capability.LOGITS not in subject.capabilities:
        return []
    rows = ledger.scan(*columns).drop_nulls(columns).collect()
    stood = np.sort(rows.filter(~pl.col(columns[0]))[columns[1]].to_numpy())
    n = len(stood)
    low, high = _median_interval(stood)
    where: dict[str, Any] = {"norm": norm, "eps": eps, "attack": attack}
    return [
        Measurement(
            check=check,
            metric="median_margin",
            value=float(np.median(stood)) if n else None,
            low=low,
            high=high,
            n=n,
            unit="logits",
            better="higher",
            where=where,
            method="thompson1936",
            reason=None if n else "no example survived the attack",
            evidence=(columns[1],),
        )
    ]


def blind_survivors(
    check: str, ledger: LedgerReader, norm: Norm, eps: float, attack: str
) -> list[Measurement]:
    """`zero_gradients`: of what withstood a lone gradient attack, the share where it once had no gradient.

    Only where that is more than the tolerance of the flag of this name, and then it doubts the robustness:
    the attack did not know where to go, so that it may have broken nothing for this reason alone.
    """
    at = f"evasion.{tag(norm, eps, attack)}"
    columns = [f"{at}.broken", f"{at}.dead_gradients"]
    lone = len(parts_of(attack)) == 1 and facts_of(attack).knowledge == "white"
    if not lone or not set(columns) <= ledger.columns():
        return []
    rows = ledger.scan(*columns).drop_nulls(columns).collect()
    dead = rows.filter(~pl.col(columns[0]))[columns[1]] > 0
    n, count = dead.len(), int(dead.sum())
    flag = next(flag for flag in FLAGS if flag.name == "zero_gradients")
    if not n or (limits := clopper_pearson(count, n)).low <= flag.tolerance:
        return []
    return [
        Measurement(
            check=check,
            metric=flag.name,
            value=count / n,
            low=limits.low,
            high=limits.high,
            n=n,
            better="lower",
            where={"norm": norm, "eps": eps, "attack": attack},
            method=flag.method,
            reason=f"of {n} examples that withstood {attack}, {count}: {flag.meaning}; attack with "
            "autoattack, which does not end with the gradient, and use robustness.reliability",
            evidence=tuple(columns),
            doubts=ROBUSTNESS_METRICS,
        )
    ]


def _median_interval(sorted_N: Any) -> tuple[float | None, float | None]:
    """Order statistics that hold the median with 95 %; none for fewer than six values."""
    n = len(sorted_N)
    tail = int((bdtr(np.arange(n), n, 0.5) <= 0.025).sum())
    return (float(sorted_N[tail - 1]), float(sorted_N[n - tail])) if tail else (None, None)
