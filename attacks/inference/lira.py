"""The likelihood-ratio attack (Carlini et al., arXiv:2112.03570).

For each example, φ over shadow models that did not train on it is modelled as N(μ_out, σ²_out), and online
also over those that did as N(μ_in, σ²_in). The score is
    online    log N(φ; μ_in, σ²_in) − log N(φ; μ_out, σ²_out)
    offline   −log P[N(μ_out, σ²_out) > φ]
Variance is per example, or, with few shadows, one for all examples: the residuals pooled.

Legend: N examples, M shadow models.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from raiaudit.attacks.inference.signals import Floats, Signals
from raiaudit.errors import UsageError

__all__ = ["Variance", "score"]

Variance = Literal["auto", "fixed", "per_example"]

FEW_SHADOWS = 64
"""Below this the paper's per-example variances are too noisy (its section VI-C), and one is shared."""


def score(signals: Signals, *, online: bool = True, variance: Variance = "auto") -> Floats:
    """Log likelihood ratio (online), or surprise under the out-distribution (offline).

    Raises `UsageError` where an example has no shadow on a side that is needed, or no side has the two
    that a variance takes.
    """
    shared = variance == "fixed" or (variance == "auto" and len(signals.keep_MN) < FEW_SHADOWS)
    out_mean_N, out_variance_N = _gaussian(signals, ~signals.keep_MN, shared, "without")
    if not online:
        z_N = (signals.phi_N - out_mean_N) / np.sqrt(out_variance_N)
        # The survival function keeps its digits where the cumulative one has rounded to 1.
        return np.asarray(-log_ndtr(-z_N))
    in_mean_N, in_variance_N = _gaussian(signals, signals.keep_MN, shared, "with")
    return _log_density(signals.phi_N, in_mean_N, in_variance_N) - _log_density(
        signals.phi_N, out_mean_N, out_variance_N
    )


def _gaussian(
    signals: Signals, chosen_MN: NDArray[np.bool_], shared: bool, side: str
) -> tuple[Floats, Floats]:
    """Mean and unbiased variance of the chosen shadows' φ for each example."""
    count_N = chosen_MN.sum(0)
    needed = 1 if shared else 2
    if not len(chosen_MN) or count_N.min(initial=needed) < needed or count_N.max(initial=0) < 2:
        worst = int(count_N.argmin()) if len(count_N) else 0
        raise UsageError(
            f"too few shadow models trained {side} example {worst}: {int(count_N.min(initial=0))}",
            where="LiRA",
            remedy="train more shadows, each point in half of them; offline needs only those without it",
        )
    phi_MN = np.where(chosen_MN, signals.shadow_phi_MN, 0.0)
    mean_N = phi_MN.sum(0) / count_N
    square_N = np.where(chosen_MN, (signals.shadow_phi_MN - mean_N) ** 2, 0.0).sum(0)
    if shared:
        variance_N = np.full_like(mean_N, square_N.sum() / (count_N - 1).sum())
    else:
        variance_N = square_N / (count_N - 1)
    return mean_N, np.maximum(variance_N, np.finfo(np.float64).tiny)


def _log_density(phi_N: Floats, mean_N: Floats, variance_N: Floats) -> Floats:
    """Of the normal distribution."""
    return np.asarray(-((phi_N - mean_N) ** 2) / (2 * variance_N) - np.log(2 * np.pi * variance_N) / 2)
