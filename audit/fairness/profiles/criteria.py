"""The arithmetic of base rates: what fixes what, and which criteria exclude each other.

With base rate p, FPR = p/(1 − p) · (1 − PPV)/PPV · (1 − FNR) (Chouldechova, arXiv:1610.07524), so two of the
three fix the third. Calibration and balance: Kleinberg et al., arXiv:1609.05807. The others: Barocas, Hardt
and Narayanan, https://fairmlbook.org, chapter 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["CRITERIA", "Criterion", "Rates", "forced_fnr", "forced_fpr", "forced_ppv"]


class Rates(NamedTuple):
    """Of one group; None is undefined."""

    base: float
    ppv: float | None
    fpr: float | None
    fnr: float | None


class Criterion(NamedTuple):
    """Criteria that cannot hold together where base rates differ, why, who showed it, and what escapes it."""

    criteria: str
    why: str
    source: str
    escapes: Callable[[Rates], bool]
    escape: str


CRITERIA = (
    Criterion(
        "equal PPV, equal FPR and equal FNR",
        "any two fix the third through the base rate",
        "chouldechova2017",
        lambda rates: rates.fpr == 0 or rates.fnr == 1,
        "there are no false positives, or no true ones",
    ),
    Criterion(
        "calibration in each group and equal mean scores of positives, and of negatives",
        "a difference in base rates shifts one of them",
        "kleinberg2017",
        lambda rates: rates.fpr == 0 and rates.fnr == 0,
        "the predictions make no error",
    ),
    Criterion(
        "equal selection rates and equalized odds",
        "selection rate = p·TPR + (1 − p)·FPR moves with p",
        "barocas2023",
        lambda rates: rates.fnr is not None and rates.fpr is not None and 1 - rates.fnr == rates.fpr,
        "TPR equals FPR: predictions no better than chance",
    ),
    Criterion(
        "equal selection rates, equal PPV and equal NPV",
        "p = PPV·s + (1 − NPV)·(1 − s), s the selection rate, so they fix p",
        "barocas2023",
        lambda rates: False,
        "",
    ),
)


def forced_fpr(base: float, ppv: float, fnr: float) -> float | None:
    """FPR at this base rate, PPV and FNR; None where no confusion matrix has them."""
    if not 0 < base < 1 or ppv <= 0:
        return None
    return _rate(base / (1 - base) * (1 - ppv) / ppv * (1 - fnr))


def forced_fnr(base: float, ppv: float, fpr: float) -> float | None:
    """FNR at this base rate, PPV and FPR; None where no confusion matrix has them."""
    if not 0 < base < 1 or not 0 < ppv < 1:
        return None
    return _rate(1 - (1 - base) / base * ppv / (1 - ppv) * fpr)


def forced_ppv(base: float, fpr: float, fnr: float) -> float | None:
    """PPV at this base rate, FPR and FNR; None where nobody is predicted positive."""
    hits, alarms = base * (1 - fnr), (1 - base) * fpr
    return hits / (hits + alarms) if hits + alarms > 0 else None


def _rate(value: float) -> float | None:
    return value if -1e-12 <= value <= 1 + 1e-12 else None
