"""Exact tests that groups have one rate, given how many succeeded in all.

Two groups: Fisher, J. R. Stat. Soc. 85 (1922) 87, doi:10.2307/2340521: the probability of all tables no
likelier than the one seen. K groups: the probability that the widest gap of rates is at least the one seen,
by counting all allocations of the successes whose rates lie in a window, one window for each rate that can be
the lowest; what no counting can do in reasonable time is a Monte Carlo test's (`by_group/permutation.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

__all__ = ["MOST_COUNTED", "fisher_exact", "widest_gap_exact"]

MOST_COUNTED = 200
"""Examples in all that `widest_gap_exact` counts through: some hundredths of a second."""

_EQUAL = 1e-7
_REACH = 60  # standard deviations of the successes: beyond, probabilities are 0 in floating point


def fisher_exact(x: int, m: int, y: int, n: int) -> float:
    """Two-sided p-value of x of m against y of n; 1 where a group is empty."""
    total, every = x + y, m + n
    if not (m and n) or total in {0, every}:
        return 1.0
    spread = np.sqrt(total * (every - total) / every * (m / every) * (n / every))
    centre = total * m / every
    reach = int(_REACH * spread) + abs(x - centre) + 2
    first, last = max(0, total - n, int(centre - reach)), min(m, total, int(centre + reach))
    k = np.arange(first, last + 1)
    logs = _log_choose(m, k) + _log_choose(n, total - k)
    logs -= logs.max()
    chances = np.exp(logs)
    no_likelier = logs <= logs[x - first] + _EQUAL
    return min(1.0, float(chances[no_likelier].sum() / chances.sum()))


def widest_gap_exact(strata: Sequence[tuple[Sequence[int], Sequence[int]]]) -> float:
    """P(the widest gap of rates in any stratum ≥ the one seen) when all allocations are equally likely.

    A stratum is the successes and the trials (positive) of its groups; `MOST_COUNTED` trials in all.
    """
    assert sum(sum(trials) for _, trials in strata) <= MOST_COUNTED
    seen = 0.0
    for successes_G, trials_G in strata:
        rates = [k / n for k, n in zip(successes_G, trials_G, strict=True)]
        seen = max(seen, max(rates) - min(rates))
    narrower = 1.0
    for successes_G, trials_G in strata:
        narrower *= _narrower(sum(successes_G), trials_G, seen)
    return min(1.0, max(0.0, 1 - narrower))


def _narrower(total: int, trials_G: Sequence[int], width: float) -> float:
    """P(max − min of the rates < width)."""
    every = sum(trials_G)
    ways_G = [np.exp(_log_choose(n, np.arange(n + 1)) - n * np.log(2)) for n in trials_G]
    rates_G = [np.arange(n + 1) / n for n in trials_G]
    ways = 0.0
    for lowest in np.unique(np.concatenate(rates_G)):
        top = lowest + width - 1e-12
        inside = _allocations(ways_G, [(r >= lowest - 1e-12) & (r < top) for r in rates_G], total)
        above = _allocations(ways_G, [(r > lowest + 1e-12) & (r < top) for r in rates_G], total)
        ways += inside - above
    return ways / float(np.exp(_log_choose(every, np.array([total]))[0] - every * np.log(2)))


def _allocations(
    ways_G: Sequence[NDArray[np.float64]], allowed_G: Sequence[NDArray[np.bool_]], total: int
) -> float:
    """The (scaled) number of ways to place `total` successes with each group's rate among the allowed."""
    product = np.ones(1)
    for ways, allowed in zip(ways_G, allowed_G, strict=True):
        if not allowed.any():
            return 0.0
        product = np.convolve(product, ways * allowed)
    return float(product[total]) if total < len(product) else 0.0


def _log_choose(n: int, k: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
