"""How often the bare four-fifths rule raises an alarm where everybody is treated alike.

All groups have one selection rate p; their counts are binomial. An alarm is a lowest rate below 0.8 of the
highest. Of two groups exactly, of more by simulation. The rule has no account of chance, so at small groups
this is large: 32 % for 50 and 500 people at p = 0.3, 69 % for 30 and 300 at p = 0.1 (70 % if a ratio of
exactly 4/5, which the rule does not call low, is let in by rounding).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from raiaudit.audit.statistics.intervals import Interval, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["alarms_of_many", "alarms_of_two"]

_CHUNK = 1 << 22


def alarms_of_two(n_a: int, n_b: int, rate: float) -> float:
    """P(lower rate < 4/5 of the higher) of two binomial groups with one `rate`, exactly.

    One sum over the counts of the smaller group; those more than 9 standard deviations off are left out.
    """
    from scipy.stats import binom

    n_a, n_b = sorted((n_a, n_b))
    middle, far = n_a * rate, 9 * math.sqrt(n_a * rate * (1 - rate)) + 9
    a = np.arange(max(0, math.floor(middle - far)), min(n_a, math.ceil(middle + far)) + 1)
    # In integers, so that a ratio of exactly 4/5 is no alarm.
    too_many = (5 * a * n_b) // (4 * n_a)
    too_few = -((-4 * a * n_b) // (5 * n_a)) - 1
    alarm = binom.sf(too_many, n_b, rate) + binom.cdf(too_few, n_b, rate)
    return float(np.sum(binom.pmf(a, n_a, rate) * alarm))


def alarms_of_many(
    n: Sequence[int], rate: float, *, rng: np.random.Generator, draws: int, confidence: float
) -> tuple[float, Interval]:
    """The same for any number of groups, by simulation, with the interval of the simulation."""
    n_G: NDArray[np.int64] = np.asarray(n, dtype=np.int64)
    alarms, done, step = 0, 0, max(1, _CHUNK // len(n))
    while done < draws:
        batch = min(step, draws - done)
        rates_BG = rng.binomial(n_G, rate, size=(batch, len(n))) / n_G
        alarms += int((rates_BG.min(-1) < 0.8 * rates_BG.max(-1) - 1e-12).sum())
        done += batch
    return alarms / draws, wilson(alarms, draws, confidence)
