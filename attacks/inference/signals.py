"""What a membership attack looks at: confidences of the target, and of shadow models it is held against.

The confidence of arXiv:2112.03570 is the logit of the true class's probability,
φ = log p_y − log Σ_{k≠y} p_k, which is close to Gaussian over models. The cross-entropy is a function of
it, log(1 + exp(−φ)), so φ is all that is kept.

Legend: N examples, M shadow models, K classes. Arrays are numpy, float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from raiaudit.errors import UsageError

__all__ = ["Signals", "phi"]

Floats = NDArray[np.float64]


def phi(logits_NK: NDArray[Any], y_N: NDArray[np.integer[Any]]) -> Floats:
    """φ per example, without ever forming a probability (which would round to 0 or 1).

    Raises `UsageError` for fewer than two classes.
    """
    logits_NK = np.asarray(logits_NK, dtype=np.float64)
    if logits_NK.ndim != 2 or logits_NK.shape[1] < 2:
        raise UsageError(f"logits must be N × K with K ≥ 2, got shape {logits_NK.shape}")
    rows = np.arange(len(logits_NK))
    others_NK = logits_NK.copy()
    others_NK[rows, y_N] = -np.inf
    return np.asarray(logits_NK[rows, y_N] - logsumexp(others_NK, axis=1))


@dataclass(frozen=True, slots=True)
class Signals:
    """`phi_N` of the target; `shadow_phi_MN` of the shadows, of which `keep_MN` says who trained on what.

    Attacks that need no shadows take M = 0. Raises `UsageError` if the shapes do not fit.
    """

    phi_N: Floats
    shadow_phi_MN: Floats
    keep_MN: NDArray[np.bool_]

    def __post_init__(self) -> None:
        shapes = self.phi_N.shape, self.shadow_phi_MN.shape, self.keep_MN.shape
        if shapes[1] != shapes[2] or shapes[1][1:] != shapes[0]:
            raise UsageError(f"phi_N, shadow_phi_MN and keep_MN do not fit together: {shapes}")

    @classmethod
    def of_target(cls, phi_N: Floats) -> Signals:
        """Signals without shadow models."""
        return cls(phi_N, np.empty((0, len(phi_N))), np.empty((0, len(phi_N)), dtype=np.bool_))

    @property
    def loss(self) -> Floats:
        """Cross-entropy of the target per example, in nats: log(1 + exp(−φ))."""
        return np.logaddexp(0.0, -self.phi_N)
