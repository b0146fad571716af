"""The robust membership inference attack (Zarifzadeh, Liu & Shokri, arXiv:2312.03562).

An example x is held against points z of the population, which nobody trained on. The score is the share of
the population that x beats by a factor γ,

    P_z[ (p(x | θ) / p(x)) / (p(z | θ) / p(z)) ≥ γ ]

where p(· | θ) is the target's probability of the true class and p(·) that of shadow models on average
(`mean_probability`). The definition compares N × Z pairs; sorting gives the same counts in
O((N + Z) log Z). Ratios are compared as logarithms, which tell apart probabilities that round to 1.

The score takes Z + 1 values, and many examples may share the largest: TPR at a FPR well below 1/Z is left to
chance. `base` ranks examples by the same ratio without that limit.

Legend: N examples, M shadow models, Z points of the population.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raiaudit.attacks.inference.mean_probability import log_mean_of_half_in, log_mean_of_out
from raiaudit.attacks.inference.signals import Floats, Signals, log_probability
from raiaudit.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["at_most", "score", "share_beaten"]

_STEPS = 2


def score(signals: Signals, *, online: bool = True, gamma: float = 2.0, a: float = 0.3) -> Floats:
    """Share of the population that the example beats by a factor γ, both relative to shadow models.

    `a` is of the offline guess of p(x), which uses shadows without the example alone: 0.3 is the authors'
    choice for images of ten classes, 1 makes no guess. Raises `UsageError` without a population, and where
    an example has no shadow on a side that is needed.
    """
    if signals.population_phi_Z is None or signals.shadow_population_phi_MZ is None:
        raise UsageError(
            "there is no population to hold the examples against",
            where="RMIA",
            remedy="pass population_phi_Z and shadow_population_phi_MZ: φ on points no model was trained on; "
            "`base` needs none",
        )
    if not 0 <= a <= 1 or gamma <= 0:
        raise UsageError(f"a must lie in [0, 1] and gamma above 0, got {a} and {gamma}", where="RMIA")
    phi_MN, population_MZ = signals.shadow_phi_MN, signals.shadow_population_phi_MZ
    nobody_MZ = np.zeros(population_MZ.shape, dtype=np.bool_)
    if online:
        mean_N = log_mean_of_half_in(phi_MN, signals.keep_MN, where="RMIA")
        mean_Z = log_mean_of_out(population_MZ, nobody_MZ, a=1.0, where="RMIA")
    else:
        mean_N = log_mean_of_out(phi_MN, signals.keep_MN, a=a, where="RMIA offline")
        mean_Z = log_mean_of_out(population_MZ, nobody_MZ, a=a, where="RMIA offline")
    return share_beaten(
        log_probability(signals.phi_N) - mean_N,
        log_probability(signals.population_phi_Z) - mean_Z,
        gamma=gamma,
    )


def share_beaten(log_ratio_N: Floats, log_ratio_Z: Floats, *, gamma: float) -> Floats:
    """For each example the share of the population with ratio_x / ratio_z ≥ γ, from logarithms of ratios."""
    return at_most(np.sort(log_ratio_Z), log_ratio_N - np.log(gamma)) / len(log_ratio_Z)


def at_most(sorted_Z: Floats, x_N: Floats) -> NDArray[np.intp]:
    """How many of the sorted, finite values lie at or below each finite x, as `np.searchsorted` counts.

    Cells of an even grid, two a value, hold a value or none where values are spread out: from the last of its
    own cell x has a step or two to go down. Differences and products keep order when they are rounded, so
    the counts are exact. An x that has not arrived by then is searched for.
    """
    low, high = sorted_Z[0], sorted_Z[-1]
    with np.errstate(all="ignore"):
        cells_a_unit = 2 * len(sorted_Z) / (high - low)
    if not np.isfinite(cells_a_unit) or cells_a_unit == 0:
        searched_N: NDArray[np.intp] = np.searchsorted(sorted_Z, x_N, side="right")
        return searched_N

    def cell(values: Floats) -> NDArray[np.intp]:
        cells: NDArray[np.intp] = ((values - low) * cells_a_unit).astype(np.intp)
        return cells

    up_to_cell = np.cumsum(np.bincount(cell(sorted_Z)))
    count_N: NDArray[np.intp] = up_to_cell[cell(np.clip(x_N, low, high))]
    above = np.flatnonzero(sorted_Z[count_N - 1] > x_N)
    for _ in range(_STEPS):
        count_N[above] -= 1
        above = above[(count_N[above] > 0) & (sorted_Z[count_N[above] - 1] > x_N[above])]
    count_N[above] = np.searchsorted(sorted_Z, x_N[above], side="right")
    return count_N
