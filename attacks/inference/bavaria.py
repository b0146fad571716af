"""Bayesian variance inference (Brännvall, arXiv:2603.11799): LiRA for few shadow models.

On each side φ is N(μ, σ²) with an example's own μ and σ², which have a normal–inverse-gamma prior: σ² is
inverse-gamma (α₀, β₀) and μ | σ² is N(μ₀, σ²/κ₀). With n shadows of mean m and squared residuals S,

    κ = κ₀ + n    α = α₀ + n/2    β = β₀ + S/2 + κ₀ n (m − μ₀)² / (2κ)    μ = (κ₀μ₀ + n m) / κ

No threshold on the number of shadows decides between one variance for all and one each. The score is the
log ratio of densities of φ with and without the example:

    student   t of 2α degrees of freedom at μ with scale² β(κ + 1)/(ακ)   "BaVarIA-t"   κ₀ = 1, α₀ = 2
    normal    N(m, β/(α − 1))                                             "BaVarIA-n"   κ₀ = 1, α₀ = 1

The prior is empirical: μ₀ and β₀/(α₀ − 1) (β₀ where α₀ = 1) are mean and variance of all φ of a side.
Offline no shadow has the example, and its side is the prior itself.

Legend: N examples, M shadow models.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from scipy.special import gammaln

from raiaudit.attacks.inference.moments import Moments, of_chosen, require
from raiaudit.attacks.inference.signals import Floats, Signals
from raiaudit.errors import UsageError

__all__ = ["Density", "score"]

Density = Literal["student", "normal"]

SMALLEST = 1e-10
"""Of β₀, as the author has it: the variances of φ that saturated."""


class NormalInverseGamma(NamedTuple):
    """Of μ and σ²: parameters of the prior, or for each example of the posterior."""

    mu: Floats
    kappa: Floats
    alpha: Floats
    beta: Floats


def score(signals: Signals, *, online: bool = True, density: Density = "student") -> Floats:
    """Log ratio of densities with and without the example, their variances shrunk to that of all examples.

    Raises `UsageError` where an example has no shadow on a side that is needed, or no shadow was trained on
    any example (the prior of members is taken from those that were).
    """
    shape = 2.0 if density == "student" else 1.0
    log_density = {}
    for side, chosen_MN in (("with", signals.keep_MN), ("without", ~signals.keep_MN)):
        prior = _prior(signals.shadow_phi_MN[chosen_MN], shape, side)
        if side == "with" and not online:
            moments = Moments(*np.zeros((3, len(signals.phi_N))))
        else:
            moments = of_chosen(signals.shadow_phi_MN, chosen_MN)
            require(moments, 1, where="BaVarIA", side=side)
        log_density[side] = _log_density(signals.phi_N, moments, prior, density)
    return log_density["with"] - log_density["without"]


def _prior(chosen: Floats, shape: float, side: str) -> NormalInverseGamma:
    if len(chosen) < 2:
        raise UsageError(
            f"no two φ of shadow models trained {side} an example, to take a prior from",
            where="BaVarIA",
            remedy="let shadows train on some of the examples, if not on all",
        )
    beta = max(float(chosen.var()) * (shape - 1 if shape > 1 else 1), SMALLEST)
    return NormalInverseGamma(*(np.asarray(value) for value in (chosen.mean(), 1.0, shape, beta)))


def _posterior(side: Moments, prior: NormalInverseGamma) -> NormalInverseGamma:
    kappa = prior.kappa + side.n
    apart = prior.kappa * side.n * (side.mean - prior.mu) ** 2 / kappa
    return NormalInverseGamma(
        (prior.kappa * prior.mu + side.n * side.mean) / kappa,
        kappa,
        prior.alpha + side.n / 2,
        prior.beta + (side.square + apart) / 2,
    )


def _log_density(phi_N: Floats, side: Moments, prior: NormalInverseGamma, density: Density) -> Floats:
    after = _posterior(side, prior)
    if density == "normal":
        # With α = 1, no shadow seen, the mean of σ² does not exist; the author puts β₀ in its place.
        variance_N = after.beta / np.where(after.alpha > 1, after.alpha - 1, 1.0)
        centre_N = np.where(side.n > 0, side.mean, prior.mu)
        return np.asarray(-((phi_N - centre_N) ** 2) / (2 * variance_N) - np.log(2 * np.pi * variance_N) / 2)
    spread_N = 2 * after.beta * (after.kappa + 1) / after.kappa  # 2α · scale²
    normaliser_N = gammaln(after.alpha + 0.5) - gammaln(after.alpha) - np.log(np.pi * spread_N) / 2
    return np.asarray(normaliser_N - (after.alpha + 0.5) * np.log1p((phi_N - after.mu) ** 2 / spread_N))
