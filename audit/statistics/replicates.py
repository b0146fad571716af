"""Statistics of models trained several times: S seeds, each asked about the same N examples.

Two sources of chance are kept apart. *Between seeds*: another seed gives another model; the seeds are
independent, so Student's t (Biometrika 6 (1908), doi:10.1093/biomet/6.1.1) says what holds for the recipe.
*Over examples*: other examples would give other counts for these very models. There the interval is
Bonett and Price's for paired proportions (doi:10.3102/1076998611411915) over each example's mean outcome,
and the test exchanges the two recipes' outcomes on whole examples (Fisher's permutation test for pairs),
which for one seed is the exact McNemar test (Psychometrika 12 (1947), doi:10.1007/BF02295996).
Several p-values are corrected by Holm, Scand. J. Stat. 6 (1979) 65–70.

All intervals and tests are two-sided. Where nothing varied between the seeds, or there is one, an interval
over seeds does not exist: its fields are None. Errors: `ValueError` for shapes that do not fit and
confidences outside (0, 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from raiaudit.audit.statistics.sign_flips import sign_flip_p

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "PairedTest",
    "Spread",
    "exchange_test",
    "holm",
    "over_examples",
    "over_seeds",
    "paired_over_seeds",
]


class Spread(NamedTuple):
    """The mean of one number a seed, its standard deviation (S − 1) and the t interval of the mean."""

    n: int
    mean: float
    deviation: float | None
    low: float | None
    high: float | None


class PairedTest(NamedTuple):
    """a − b with its interval, and the p-value of no difference."""

    difference: float
    low: float | None
    high: float | None
    p: float | None


def over_seeds(values: ArrayLike, confidence: float = 0.95) -> Spread:
    """The mean of S ≥ 1 numbers, one a seed, and what S − 1 degrees of freedom say of it."""
    values_S = np.asarray(values, dtype=np.float64)
    if values_S.ndim != 1 or not len(values_S):
        raise ValueError(f"one number a seed, got shape {values_S.shape}")
    _require_confidence(confidence)
    n, mean = len(values_S), float(values_S.mean())
    if n == 1:
        return Spread(1, mean, None, None, None)
    deviation = float(values_S.std(ddof=1))
    if deviation <= 1e-12 * max(1.0, abs(mean)):  # rounding of equal numbers
        return Spread(n, mean, 0.0, None, None)
    half = float(stdtrit(n - 1, 0.5 + confidence / 2)) * deviation / math.sqrt(n)
    return Spread(n, mean, deviation, mean - half, mean + half)


def paired_over_seeds(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> PairedTest:
    """The paired t-test over seeds: entry s of `a` and of `b` come from the same seed."""
    a_S, b_S = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a_S.shape != b_S.shape:
        raise ValueError(f"paired values of shapes {a_S.shape} and {b_S.shape}")
    spread = over_seeds(a_S - b_S, confidence)
    if spread.low is None or not spread.deviation:
        return PairedTest(spread.mean, None, None, None)
    t = spread.mean / (spread.deviation / math.sqrt(spread.n))
    return PairedTest(spread.mean, spread.low, spread.high, float(2 * stdtr(spread.n - 1, -abs(t))))


def over_examples(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> PairedTest:
    """mean(a) − mean(b) of outcomes a_SN and b_SN (true: right) of these S models each, over examples.

    The examples are the independent units: an example counts with the mean of its S outcomes, so that
    what the models err on together is not counted S times.
    """
    a_SN, b_SN = _outcomes(a, b)
    _require_confidence(confidence)
    gains_N = (a_SN.astype(np.float64) - b_SN).mean(axis=0)
    z, n = float(ndtri(0.5 + confidence / 2)), len(gains_N)
    low, high = -1.0, 1.0
    if n:
        # One pseudo-example won by each side, as in Bonett and Price: never of width 0.
        centre = float(gains_N.sum()) / (n + 2)
        variance = (float((gains_N**2).sum()) + 2) / (n + 2) - centre**2
        half = z * math.sqrt(variance / (n + 2))
        low, high = max(-1.0, centre - half), min(1.0, centre + half)
    difference = float(gains_N.mean()) if n else 0.0
    return PairedTest(difference, low, high, exchange_test(a_SN, b_SN))


def exchange_test(a: ArrayLike, b: ArrayLike) -> float:
    """P(a difference at least as large as seen | the two recipes may be exchanged on any example).

    Exact, by convolution: an example whose S outcomes differ by k in sum adds +k or −k with equal chance.
    """
    a_SN, b_SN = _outcomes(a, b)
    return sign_flip_p(a_SN.sum(axis=0, dtype=np.int64) - b_SN.sum(axis=0, dtype=np.int64))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Each p-value corrected for having looked at all of them; None, a test that was undefined, stays so
    and counts as one of them.
    """
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    ordered = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    for rank, (p, i) in enumerate(ordered):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        corrected[i] = largest
    return corrected


def _outcomes(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    a_SN, b_SN = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if a_SN.shape != b_SN.shape or a_SN.ndim != 2:
        raise ValueError(f"paired outcomes S×N of shapes {a_SN.shape} and {b_SN.shape}")
    return a_SN, b_SN


def _require_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
