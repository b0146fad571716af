"""The exact test of "the group makes no difference": permute groups within strata, compare the widest gap.

With the outcome independent of the group given the stratum (the label, for equalized odds), the successes
of the groups are a multivariate hypergeometric draw of the stratum's total, so whole rows need not be
shuffled. p = (b + 1) / (B + 1) as in Dwass, doi:10.1214/aoms/1177707045: valid at any B and sample size.
Shapes: G groups (strata may differ in which), B draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Statistic", "Stratum", "gap_of_means", "permutation_p_value", "widest_of_gaps"]

_CHUNK = 1 << 22
_MOST_DRAWN_FROM = 10**9  # numpy's limit of this method

Stratum = tuple[Sequence[int], Sequence[int]]
"""Successes and trials (all positive) of the groups."""

Statistic = Callable[[Sequence["NDArray[np.float64]"]], "NDArray[np.float64]"]
"""Rates, one array (…, G) a stratum, to one number for each leading index."""


def widest_of_gaps(rates: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Max over strata of max − min over groups; one array (…, G) a stratum."""
    return np.asarray(np.max([np.ptp(rate, axis=-1) for rate in rates], axis=0))


def gap_of_means(rates: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Max − min over groups of the mean over strata; all strata have the same groups."""
    return np.asarray(np.ptp(np.mean(rates, axis=0), axis=-1))


def permutation_p_value(
    strata: Sequence[Stratum],
    *,
    rng: np.random.Generator,
    draws: int,
    statistic: Statistic = widest_of_gaps,
) -> float:
    """P(the statistic with permuted groups is at least the one seen)."""
    seen = statistic([np.divide(successes_G, trials_G) for successes_G, trials_G in strata])
    groups = max(len(trials_G) for _, trials_G in strata)
    step, as_wide = max(1, _CHUNK // groups), 0
    for start in range(0, draws, step):
        some = min(step, draws - start)
        drawn = [_rates(int(np.sum(k)), np.asarray(n), rng, some) for k, n in strata]
        as_wide += int((statistic(drawn) >= seen - 1e-12).sum())
    return (as_wide + 1) / (draws + 1)


def _rates(
    total: int, trials_G: NDArray[np.int64], rng: np.random.Generator, draws: int
) -> NDArray[np.float64]:
    every = int(trials_G.sum())
    if every < _MOST_DRAWN_FROM:
        draw_BG = rng.multivariate_hypergeometric(trials_G, total, size=draws, method="marginals")
        return np.asarray(draw_BG / trials_G)
    # Of a billion examples the hypergeometric is normal: with its variances, and its sum held fixed.
    spread = np.sqrt(total / every * (1 - total / every))
    noise_BG = rng.normal(size=(draws, len(trials_G))) * spread / np.sqrt(trials_G)
    return np.asarray(total / every + noise_BG - (noise_BG @ trials_G / every)[:, None])
