"""Exposure of canaries: how far a secret that was planted stands out of secrets that were not.

Carlini et al., "The Secret Sharer", arXiv:1802.08232: with the loss of a canary ranked among those of all
candidates R, exposure is log₂ |R| − log₂ rank, in bits; log₂ |R| is complete memorisation, about 1 what a
canary has on average that was not trained on (its rank is uniform). With a sample of candidates in place of
all, either the rank in the sample, which cannot exceed log₂ of its size plus one, or a skew normal
distribution fitted to the sample's losses and −log₂ of its mass below the canary's.

Legend: C canaries, R reference candidates, of the same form and never trained on. Losses may be sums or means
of −log p over tokens, or log-perplexities; lower is better known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr

from raiaudit.attacks.inference.signals import Floats
from raiaudit.errors import UsageError

__all__ = ["extrapolated", "from_rank"]

DEEP_TAIL = 1e-6
"""Below this mass the distribution function loses its digits, and the tail is integrated instead."""


def from_rank(loss_C: Floats, reference_R: Floats) -> Floats:
    """Exact for these references, in bits: log₂ R − log₂(1 + how many do not exceed the canary's loss).

    A tie goes against the canary. Raises `UsageError` without references.
    """
    _some(reference_R, 1)
    ahead_C = np.searchsorted(np.sort(reference_R), loss_C, side="right")
    return np.asarray(np.log2(len(reference_R)) - np.log2(ahead_C + 1))


def extrapolated(loss_C: Floats, reference_R: Floats) -> Floats:
    """−log₂ of the mass below the canary's loss, of the skew normal that fits the references best.

    Goes beyond what the number of references can show, at the price of a form of distribution. Raises
    `UsageError` for fewer than ten references or references that are all equal.
    """
    from scipy import stats

    _some(reference_R, 10)
    if np.ptp(reference_R) == 0:
        raise UsageError("the references' losses are all equal", where="exposure")
    skew, location, scale = stats.skewnorm.fit(reference_R)
    x_C = (np.atleast_1d(np.asarray(loss_C, dtype=np.float64)) - location) / scale
    mass_C, rate_C = stats.skewnorm.cdf(x_C, skew), _rate(x_C, skew)
    deep_C = (mass_C < DEEP_TAIL) & (rate_C > 0)
    log_C = np.log(np.where(deep_C, 1.0, mass_C))
    log_C[deep_C] = _log_tail(x_C[deep_C], skew)
    return np.asarray(-log_C / np.log(2))


def _log_density(x: Floats, skew: float) -> Floats:
    return np.asarray(np.log(2) - np.log(2 * np.pi) / 2 - x**2 / 2 + log_ndtr(skew * x))


def _rate(x: Floats, skew: float) -> Floats:
    """Derivative of the log density: above 0 left of the mode."""
    return np.asarray(skew * np.sqrt(2 / np.pi) / erfcx(-skew * x / np.sqrt(2)) - x)


def _log_tail(x_C: Floats, skew: float) -> Floats:
    """log ∫_{−∞}^x of the skew normal density, left of its mode.

    The density is log-concave, so that going left it falls at least as fast as exp(−rate·s), with the rate
    at x: Gauss–Laguerre quadrature of what it falls faster by.
    """
    nodes, weights = np.polynomial.laguerre.laggauss(60)
    rate_C = _rate(x_C, skew)
    x_CQ = x_C[:, None] - nodes / rate_C[:, None]
    faster_CQ = _log_density(x_CQ, skew) - _log_density(x_C, skew)[:, None] + nodes
    return np.asarray(_log_density(x_C, skew) - np.log(rate_C) + np.log(np.exp(faster_CQ) @ weights))


def _some(reference_R: NDArray[np.float64], least: int) -> None:
    if len(reference_R) < least:
        raise UsageError(
            f"{len(reference_R)} reference losses, at least {least} are needed",
            where="exposure",
            remedy="score more candidates of the canary's form that were never trained on",
        )
