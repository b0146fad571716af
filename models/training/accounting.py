"""What DP-SGD spends: ε of T Poisson-subsampled Gaussian steps, and the noise that keeps it to a target.

Three accountants of the same mechanism (add-or-remove one example, sample rate q, noise σ in units of
the clipping norm, T steps, at δ):
- RDP, arXiv:1908.10530: quick and loose; brackets σ.
- PLD, arXiv:2106.08567 (dp-accounting, pessimistic rounding: an upper bound): the ε we report.
- PRV, arXiv:2106.02848 (Opacus): an independent cross-check.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache

from raiaudit.errors import UsageError

__all__ = ["Mechanism", "epsilon_pld", "epsilon_prv", "epsilon_rdp", "noise_multiplier"]

_FINE = 1e-4  # discretisation of the privacy loss
_COARSE, _OF_EPSILON = 1e-3, 1 / 3000  # for the search: at a small ε this share of it
_LARGEST_NOISE = 1e4
# Orders between whole numbers cost a series each, and help only where ε is large.
_ORDERS = [1.25, 1.5, 1.75, 2.5, *range(2, 64), 80, 96, 128, 192, 256, 384, 512, 1024]
_TOLERANCE = 1e-3  # of σ, relative


@dataclass(frozen=True, slots=True)
class Mechanism:
    """`steps` Poisson-subsampled Gaussian steps, looked at for `delta`."""

    sigma: float
    sample_rate: float
    steps: int
    delta: float


def epsilon_rdp(mechanism: Mechanism) -> float:
    """ε by Rényi accounting."""
    from opacus.accountants.analysis import rdp

    curve = rdp.compute_rdp(
        q=mechanism.sample_rate,
        noise_multiplier=mechanism.sigma,
        steps=mechanism.steps,
        orders=_ORDERS,
    )
    with warnings.catch_warnings():
        # At very large σ the best order is the largest, which is no error: any order bounds ε.
        warnings.filterwarnings("ignore", message="Optimal order is the largest")
        epsilon, _ = rdp.get_privacy_spent(orders=_ORDERS, rdp=curve, delta=mechanism.delta)
    return float(epsilon)


@lru_cache(maxsize=64)
def epsilon_pld(mechanism: Mechanism, *, interval: float = _FINE) -> float:
    """ε by the privacy-loss distribution, an upper bound at any `interval`."""
    from dp_accounting import dp_event
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant(value_discretization_interval=interval)
    gaussian = dp_event.GaussianDpEvent(mechanism.sigma)
    accountant.compose(dp_event.PoissonSampledDpEvent(mechanism.sample_rate, gaussian), mechanism.steps)
    return float(accountant.get_epsilon(mechanism.delta))


@lru_cache(maxsize=16)
def epsilon_prv(mechanism: Mechanism) -> tuple[float | None, str]:
    """(ε ≥ 0, "") by privacy-loss random variables, or (None, why it could not be computed)."""
    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    accountant.history = [(mechanism.sigma, mechanism.sample_rate, mechanism.steps)]
    try:
        # At a large δ it goes below 0, where no ε is.
        return max(0.0, float(accountant.get_epsilon(delta=mechanism.delta))), ""
    except (ArithmeticError, RuntimeError, ValueError) as error:
        return None, f"PRV cross-check failed: {error}"


@lru_cache(maxsize=16)
def noise_multiplier(*, epsilon: float, delta: float, sample_rate: float, steps: int) -> float:
    """The least σ (to 0.1 %) whose PLD ε at δ is at most `epsilon`.

    RDP never underestimates ε, so its σ is an upper end; PLD then bisects below it. Raises `UsageError` with
    the nearest ε when no σ is large enough.
    """
    interval = max(_FINE, min(_COARSE, epsilon * _OF_EPSILON))

    def spent(sigma: float) -> float:
        return epsilon_pld(Mechanism(sigma, sample_rate, steps, delta), interval=interval)

    asked = f"ε = {epsilon:g} at δ = {delta:g} is out of reach of {steps:,} steps at rate {sample_rate:.3g}"
    nearest = epsilon_rdp(Mechanism(_LARGEST_NOISE, sample_rate, steps, delta))
    if nearest > epsilon:
        shown = f"{1.005 * nearest:.3g}"  # rounded up, so that it can be asked for
        raise UsageError(
            f"{asked}; the nearest is ε = {shown}, with the largest noise multiplier, {_LARGEST_NOISE:g}",
            where="recipe.privacy.epsilon",
            remedy=f"raise epsilon to {shown} or more, train for fewer epochs, or lower batch_size",
        )
    high = 1.0
    while epsilon_rdp(Mechanism(high, sample_rate, steps, delta)) > epsilon:
        high = min(2 * high, _LARGEST_NOISE)
    if math.isinf(spent(high)):
        raise UsageError(
            f"{asked}: no accountant computes so small a δ",
            where="recipe.privacy.delta",
            remedy="raise delta (usual: a tenth of 1 / training examples)",
        )
    low = high
    while low > 1e-2 and spent(low) <= epsilon:
        high, low = low, low / 1.25
    while high / low > 1 + _TOLERANCE:
        middle = (high * low) ** 0.5
        low, high = (low, middle) if spent(middle) <= epsilon else (middle, high)
    return high
