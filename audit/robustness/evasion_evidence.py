"""Tables behind the charts of an evasion check; every one comes from the ledger, at no further attack.

    curve          attack norm eps robust_accuracy low high            a row a radius
    nearest        attack norm eps robust_accuracy low high            the same at every radius up to the
                                                                       largest, of attacks that look for the
                                                                       nearest error
    contribution   attack norm eps part order count n share            parts add up to n
    classes        attack norm eps class n clean clean_low clean_high robust robust_low robust_high
    queries        attack norm eps queries robust_accuracy low high    of attacks that need no gradient

Tables without rows are left out. (`examples` is made in `evasion_summary`.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raiaudit.audit.robustness.attack_names import facts_of
from raiaudit.audit.robustness.evasion_parts import class_counts, part_counts
from raiaudit.audit.robustness.evasion_summary import at_radius, tag
from raiaudit.audit.robustness.query_curve import query_curve
from raiaudit.audit.statistics.intervals import wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.attacks.threats import Norm
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["accuracy_within", "evidence_tables"]

_POINTS = 60  # of a curve, at most; more than a chart can show


def evidence_tables(
    check: str, ledger: LedgerReader, subject: Subject, norm: Norm, radii: tuple[float, ...], attack: str
) -> dict[str, pl.DataFrame]:
    """Those of this attack at these radii (ascending)."""
    largest = radii[-1]
    threat = (pl.lit(attack).alias("attack"), pl.lit(norm).alias("norm"))
    held = ledger.columns()
    tables = {
        "curve": _curve(check, ledger, norm, radii, attack),
        "contribution": pl.concat([_parts(ledger, norm, eps, attack) for eps in radii]),
        "classes": pl.concat(
            [_classes(class_counts(ledger, subject, norm, eps, attack), eps) for eps in radii]
        ).with_columns(threat),
    }
    facts = facts_of(attack)
    if facts.minimal:
        rows = _rows(ledger, norm, largest, attack, "norm")
        broken, erred, distance = (rows[name].to_numpy() for name in rows.columns)
        tables["nearest"] = accuracy_within(distance, broken, erred, largest).with_columns(threat)
    at = f"evasion.{tag(norm, largest, attack)}"
    spent = "forwards_to_break" if facts.minimal else "forwards"
    if facts.knowledge != "white" and f"{at}.{spent}" in held:
        rows = _rows(ledger, norm, largest, attack, spent)
        broken, erred, forwards = (rows[name].to_numpy() for name in rows.columns)
        curve = query_curve(broken, forwards, ~erred)
        tables["queries"] = curve.with_columns(threat).with_columns(eps=pl.lit(largest))
    return {name: table for name, table in tables.items() if not table.is_empty()}


def accuracy_within(
    distance: NDArray[np.float64], broken: NDArray[np.bool_], erred: NDArray[np.bool_], largest: float
) -> pl.DataFrame:
    """eps, robust_accuracy, low, high from 0 to `largest`, by the nearest error found of each example.

    Exactly the robust accuracy at every radius if those are the nearest errors, an upper bound otherwise.
    """
    far = np.where(erred, 0.0, np.where(broken, distance, np.inf)).astype(np.float64)
    n = len(far)
    if not n:
        return pl.DataFrame()
    eps_P = np.linspace(0, largest, _POINTS)
    standing = n - np.searchsorted(np.sort(far), eps_P, side="right")
    intervals = [wilson(int(count), n) for count in standing]
    return pl.DataFrame(
        {
            "eps": eps_P,
            "robust_accuracy": standing / n,
            "low": [interval.low for interval in intervals],
            "high": [interval.high for interval in intervals],
        }
    )


def _rows(ledger: LedgerReader, norm: Norm, eps: float, attack: str, last: str) -> pl.DataFrame:
    """broken, clean_broken and `last`, of the examples about which all are known."""
    columns = [f"evasion.{tag(norm, eps, attack)}.{name}" for name in ("broken", "clean_broken", last)]
    return ledger.scan(*columns).drop_nulls(columns).select(columns).collect()


def _curve(
    check: str, ledger: LedgerReader, norm: Norm, radii: tuple[float, ...], attack: str
) -> pl.DataFrame:
    measured = [at_radius(check, ledger, norm, eps, attack)[0] for eps in radii]
    assert all(m.metric == "robust_accuracy" for m in measured)
    return pl.DataFrame(
        [
            {
                "eps": eps,
                "robust_accuracy": m.value,
                "low": m.low,
                "high": m.high,
                "attack": attack,
                "norm": norm,
            }
            for eps, m in zip(radii, measured, strict=True)
        ]
    )


def _parts(ledger: LedgerReader, norm: Norm, eps: float, attack: str) -> pl.DataFrame:
    counts = part_counts(ledger, norm, eps, attack)
    n = sum(counts.values())
    return pl.DataFrame(
        [
            {
                "attack": attack,
                "norm": norm,
                "eps": eps,
                "part": part,
                "order": order,
                "count": count,
                "n": n,
                "share": count / n if n else None,
            }
            for order, (part, count) in enumerate(counts.items())
        ]
    )


def _classes(counts: pl.DataFrame, eps: float) -> pl.DataFrame:
    """The counts as shares with their intervals; null where a class has no examples."""
    shares: dict[str, list[float | None]] = {}
    for kind in ("clean", "robust"):
        pairs = list(counts.select(kind, "n").iter_rows())
        intervals = [wilson(count, n) if n else None for count, n in pairs]
        shares[kind] = [count / n if n else None for count, n in pairs]
        shares[f"{kind}_low"] = [None if each is None else each.low for each in intervals]
        shares[f"{kind}_high"] = [None if each is None else each.high for each in intervals]
    floats = {name: pl.Series(name, values, dtype=pl.Float64) for name, values in shares.items()}
    return counts.select("class", "n").with_columns(*floats.values(), eps=pl.lit(eps))
