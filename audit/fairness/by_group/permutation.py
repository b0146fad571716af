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
    seen, drawn = [], []
    for successes_G, trials_G in strata:
        total = int(np.sum(successes_G))
        seen.append(np.divide(successes_G, trials_G))
        draw_BG = rng.multivariate_hypergeometric(trials_G, total, size=draws, method="marginals")
        drawn.append(draw_BG / np.asarray(trials_G))
    as_wide = int((statistic(drawn) >= statistic(seen) - 1e-12).sum())
    return (as_wide + 1) / (draws + 1)
