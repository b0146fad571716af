"""p(x): what a model that may or may not have seen an example says of its true class, on average.

RMIA and BASE hold the target's p(x | θ) against it. Online it is the mean over both kinds of shadows, half
with and half without the example. Offline there are only those without, p_out, and the mean is guessed as
p(x) = ((1 + a) p_out + (1 − a)) / 2: shadows with it would be surer by a share of what is missing to 1
(arXiv:2312.03562, appendix on the offline attack; a = 1 takes p_out as it is).

Legend: N examples, M shadow models.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from raiaudit.attacks.inference.moments import of_chosen, require
from raiaudit.attacks.inference.signals import Floats, log_probability

__all__ = ["log_mean_of_half_in", "log_mean_of_out"]


def log_mean_of_half_in(phi_MN: Floats, keep_MN: NDArray[np.bool_], *, where: str) -> Floats:
    """log p(x) online, with equal weight on shadows with and without the example, however many of each."""
    weight_MN = (_share(phi_MN, keep_MN, where, "with") + _share(phi_MN, ~keep_MN, where, "without")) / 2
    return _log_mean(phi_MN, weight_MN)


def log_mean_of_out(phi_MN: Floats, keep_MN: NDArray[np.bool_], *, a: float, where: str) -> Floats:
    """log p(x) offline."""
    weight_MN = (1 + a) / 2 * _share(phi_MN, ~keep_MN, where, "without")
    # What shadows with the example add is that of a model whose φ is infinite.
    sure_N = np.full(phi_MN.shape[1:], np.inf)
    return _log_mean(np.vstack([phi_MN, sure_N]), np.vstack([weight_MN, np.full_like(sure_N, (1 - a) / 2)]))


def _share(phi_MN: Floats, chosen_MN: NDArray[np.bool_], where: str, side: str) -> Floats:
    count_N = chosen_MN.sum(0)
    if not count_N.size or count_N.min() < 1:
        require(of_chosen(phi_MN, chosen_MN), 1, where=where, side=side)
    return np.asarray(chosen_MN / count_N)


def _log_mean(phi_MN: Floats, weight_MN: Floats) -> Floats:
    """log Σ w expit(φ) of weights that sum to 1, to relative precision near 0 and near 1."""
    missing_N = np.einsum("mn,mn->n", weight_MN, expit(-phi_MN))
    log_N = np.log1p(-np.minimum(missing_N, 0.5))
    small_N = missing_N > 0.5
    if small_N.any():
        log_N[small_N] = logsumexp(log_probability(phi_MN[:, small_N]), axis=0, b=weight_MN[:, small_N])
    return np.asarray(log_N)
