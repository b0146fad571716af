"""The difference of two runs on the same examples: its interval, and the p-value of no difference.

Yes/no values: Bonett and Price's interval (doi:10.3102/1076998611411915) and the exact McNemar test. Other
means: the bootstrap of the examples' differences (Efron, doi:10.1080/01621459.1987.10478410) and Fisher's
sign-flip test, exact where the values are few counts, else by random signs; beyond `_RESAMPLED` examples
Student's interval and the normal limit of the same test, which agree with them there. Two estimates taken
for independent: squares of the distances to their limits (MOVER, Zou and Donner, doi:10.1002/sim.3095); its
p-value is that of the level at which the interval reaches 0, were its sides multiples of a normal quantile.

Shapes: N examples.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from raiaudit.audit.statistics.intervals import difference, mean_bootstrap, paired_difference
from raiaudit.audit.statistics.sign_flips import sign_flip_p

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.comparison.pairing import Pairs
    from raiaudit.audit.statistics.intervals import Interval

__all__ = ["Tested", "test_means", "test_unpaired", "test_yes_no"]

_RESAMPLED = 5000
_FLIPS = 9999
_COUNTED = 10_000  # of all counts that differ: beyond, the exact test takes seconds, later hours
_CHUNK = 1 << 22  # random signs held at once


class Tested(NamedTuple):
    """Ours minus the reference; the interval is None of a single example."""

    difference: float
    low: float | None
    high: float | None
    p: float


def test_yes_no(pairs: Pairs, confidence: float) -> Tested:
    """Of values that are 0 or 1."""
    ours_N, reference_N = pairs.ours_N > 0.5, pairs.reference_N > 0.5
    low, high = paired_difference(ours_N, reference_N, confidence)
    net_N = ours_N.astype(np.int64) - reference_N
    return Tested(float(net_N.mean()), low, high, sign_flip_p(net_N))


def test_means(pairs: Pairs, confidence: float, rng: np.random.Generator) -> Tested:
    """Of any values."""
    gains_N = pairs.ours_N - pairs.reference_N
    n, gain = len(gains_N), float(gains_N.mean())
    low, high = None, None
    if n > _RESAMPLED:
        half = float(stdtrit(n - 1, 0.5 + confidence / 2) * gains_N.std(ddof=1)) / math.sqrt(n)
        low, high = gain - half, gain + half
    elif n > 1:
        low, high = mean_bootstrap(gains_N, rng=rng, confidence=confidence)
    if pairs.parts is not None:
        net_N = np.rint(gains_N * pairs.parts).astype(np.int64)
        if np.abs(net_N).sum() <= _COUNTED:
            return Tested(gain, low, high, sign_flip_p(net_N))
    return Tested(gain, low, high, _sign_flips(gains_N, rng))


def test_unpaired(
    ours: float, interval: Interval, reference: float, other: Interval, confidence: float
) -> Tested:
    """Of two estimates with intervals at this confidence."""
    gap = ours - reference
    low, high = difference(ours, interval, reference, other)
    towards_zero = gap - low if gap > 0 else high - gap
    if towards_zero <= 0:
        return Tested(gap, low, high, 1.0)
    z = float(ndtri(0.5 + confidence / 2)) * abs(gap) / towards_zero
    return Tested(gap, low, high, float(2 * ndtr(-z)))


def _sign_flips(gains_N: NDArray[np.float64], rng: np.random.Generator) -> float:
    """P(|Σ ±gain| ≥ |Σ gain|) over fair signs."""
    gains_N = gains_N[gains_N != 0]
    n, seen = len(gains_N), abs(float(gains_N.sum()))
    slack = 1e-9 * float(np.abs(gains_N).sum())  # sums that differ by rounding alone are equal
    if not n:
        return 1.0
    if n > _RESAMPLED:
        return float(2 * ndtr(-seen / math.sqrt(float((gains_N**2).sum()))))
    atleast, rows = 0, max(1, _CHUNK // n)
    for start in range(0, _FLIPS, rows):
        signs_RN = rng.integers(0, 2, size=(min(rows, _FLIPS - start), n), dtype=np.int8) * 2.0 - 1
        atleast += int((np.abs(signs_RN @ gains_N) >= seen - slack).sum())
    return (atleast + 1) / (_FLIPS + 1)
