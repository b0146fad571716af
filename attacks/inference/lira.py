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
from scipy.special import log_ndtr

from raiaudit.attacks.inference.moments import Moments, of_chosen, require
from raiaudit.attacks.inference.signals import Floats, Signals

__all__ = ["Variance", "log_ratio", "score", "shares"]

Variance = Literal["auto", "fixed", "per_example"]

FEW_SHADOWS = 64
"""Below this the paper's per-example variances are too noisy (its section VI-C), and one is shared."""


def score(signals: Signals, *, online: bool = True, variance: Variance = "auto") -> Floats:
    """Log likelihood ratio, with the example to without it; offline, how it stands out of those without.

    Raises `UsageError` where an example has no shadow on a side that is needed, or no side has the two
    that a variance takes.
    """
    outside = of_chosen(signals.shadow_phi_MN, ~signals.keep_MN)
    inside = of_chosen(signals.shadow_phi_MN, signals.keep_MN) if online else None
    return log_ratio(signals.phi_N, outside, inside, shared=shares(variance, len(signals.keep_MN)))


def shares(variance: Variance, shadows: int) -> bool:
    """Whether all examples share one variance."""
    return variance == "fixed" or (variance == "auto" and shadows < FEW_SHADOWS)


def log_ratio(phi: Floats, outside: Moments, inside: Moments | None, *, shared: bool) -> Floats:
    """The score of φ given moments on both sides (online) or outside only; last axis: examples."""
    needed = 1 if shared else 2
    require(outside, needed, some=2, where="LiRA", side="without")
    z_out, variance_out = _standardised(phi, outside, shared)
    if inside is None:
        # The survival function keeps its digits where the cumulative one has rounded to 1.
        return np.asarray(-log_ndtr(-z_out))
    require(inside, needed, some=2, where="LiRA", side="with")
    z_in, variance_in = _standardised(phi, inside, shared)
    return np.asarray((z_out**2 - z_in**2 + np.log(variance_out / variance_in)) / 2)


def _standardised(phi: Floats, side: Moments, shared: bool) -> tuple[Floats, Floats]:
    variance = side.variance(shared=shared)
    return (phi - side.mean) / np.sqrt(variance), variance
