"""What DP-SGD spends: ε of T Poisson-subsampled Gaussian steps, and the noise that keeps it to a target.

Three accountants of the same mechanism (add-or-remove one example, sample rate q, noise σ in units of
the clipping norm, T steps, at δ):
- RDP, arXiv:1908.10530: quick and loose; brackets σ.
- PLD, arXiv:2106.08567 (dp-accounting, pessimistic rounding: an upper bound): the ε we report.
- PRV, arXiv:2106.02848 (Opacus): an independent cross-check.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Mechanism", "epsilon_pld", "epsilon_prv", "epsilon_rdp", "noise_multiplier"]

_COARSE, _FINE = 1e-3, 1e-4  # discretisation of the privacy loss; the coarse one serves the search
_LARGEST_NOISE = 1e4
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

    orders = [1 + step / 10 for step in range(1, 100)] + list(range(11, 64)) + [128, 256, 512]
    curve = rdp.compute_rdp(
        q=mechanism.sample_rate,
        noise_multiplier=mechanism.sigma,
        steps=mechanism.steps,
        orders=orders,
    )
    epsilon, _ = rdp.get_privacy_spent(orders=orders, rdp=curve, delta=mechanism.delta)
    return float(epsilon)


def epsilon_pld(mechanism: Mechanism, *, interval: float = _FINE) -> float:
    """ε by the privacy-loss distribution, an upper bound at any `interval`."""
    from dp_accounting import dp_event
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant(value_discretization_interval=interval)
    gaussian = dp_event.GaussianDpEvent(mechanism.sigma)
    accountant.compose(dp_event.PoissonSampledDpEvent(mechanism.sample_rate, gaussian), mechanism.steps)
    return float(accountant.get_epsilon(mechanism.delta))


def epsilon_prv(mechanism: Mechanism) -> tuple[float | None, str]:
    """(ε, "") by privacy-loss random variables, or (None, why it could not be computed)."""
    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    accountant.history = [(mechanism.sigma, mechanism.sample_rate, mechanism.steps)]
    try:
        return float(accountant.get_epsilon(delta=mechanism.delta)), ""
    except (ArithmeticError, RuntimeError, ValueError) as error:
        return None, f"PRV cross-check failed: {error}"


@lru_cache(maxsize=16)
def noise_multiplier(*, epsilon: float, delta: float, sample_rate: float, steps: int) -> float:
    """The least σ (to 0.1 %) whose PLD ε at δ is at most `epsilon`.

    RDP never underestimates ε, so its σ is an upper end; PLD then bisects below it. Raises `ValueError`
    when no σ is large enough.
    """

    def spent(sigma: float) -> float:
        return epsilon_pld(Mechanism(sigma, sample_rate, steps, delta), interval=_COARSE)

    high = 1.0
    while epsilon_rdp(Mechanism(high, sample_rate, steps, delta)) > epsilon:
        high *= 1.25
        if high > _LARGEST_NOISE:
            raise ValueError(f"no noise multiplier below {_LARGEST_NOISE:g} reaches ε = {epsilon:g}")
    low = high
    while low > 1e-2 and spent(low) <= epsilon:
        high, low = low, low / 1.25
    while high / low > 1 + _TOLERANCE:
        middle = (high * low) ** 0.5
        low, high = (low, middle) if spent(middle) <= epsilon else (middle, high)
    return high
