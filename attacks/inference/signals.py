"""What a membership attack looks at: confidences of the target, and of shadow models it is held against.

The confidence of arXiv:2112.03570 is the logit of the true class's probability,
φ = log p_y − log Σ_{k≠y} p_k, which is close to Gaussian over models. The cross-entropy is a function of
it, log(1 + exp(−φ)), so φ is all that is kept of a shadow model. What φ alone cannot give, because it
hangs on the other classes too, is `Uncertainty` of the target (Song & Mittal, arXiv:2003.10595).

Legend: N examples, M shadow models, Z points of a population that no model was trained on, K classes.
Arrays are numpy, float64; logarithms are natural.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from raiaudit.errors import UsageError

__all__ = ["Signals", "Uncertainty", "log_probability", "phi", "uncertainty"]

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


def log_probability(phi: Floats) -> Floats:
    """log p_y of φ: keeps its digits at both ends, where p_y is near 0 and near 1."""
    return -np.logaddexp(0.0, -phi)


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """How sure the target is of an example.

    `confidence_N`: the logit of the largest probability, whatever the label (a monotone function of it that
    does not round to 1). `entropy_N`: −Σ p log p. `modified_entropy_N`: the same with the label known,
    −(1 − p_y) log p_y − Σ_{k≠y} p_k log(1 − p_k), small where the model is sure of the right class.
    """

    confidence_N: Floats
    entropy_N: Floats
    modified_entropy_N: Floats


def uncertainty(logits_NK: NDArray[Any], y_N: NDArray[np.integer[Any]]) -> Uncertainty:
    """`Uncertainty` from logits, to relative precision even where a probability is 1 but for 1e-300.

    The confidence of the true class is not among them: it is expit(φ), and ranks examples as the loss does.
    Raises `UsageError` for fewer than two classes.
    """
    logits_NK = np.asarray(logits_NK, dtype=np.float64)
    rows, phi_N, top_N = np.arange(len(logits_NK)), phi(logits_NK, y_N), logits_NK.argmax(1)
    confidence_N = phi(logits_NK, top_N)
    log_p_NK = logits_NK - logsumexp(logits_NK, axis=1, keepdims=True)
    # Only the largest probability can round to 1, and only its complement can lose all digits.
    log_p_NK[rows, top_N] = log_probability(confidence_N)
    p_NK = np.exp(log_p_NK)
    log_rest_NK = np.log1p(-np.minimum(p_NK, 0.5))
    log_rest_NK[rows, top_N] = log_probability(-confidence_N)
    # A class that is impossible adds nothing, the limit of p log p.
    entropy_N = -np.multiply(p_NK, log_p_NK, where=p_NK > 0, out=np.zeros_like(p_NK)).sum(1)
    others_NK = p_NK * log_rest_NK
    others_NK[rows, y_N] = 0.0
    modified_N = -expit(-phi_N) * log_probability(phi_N) - others_NK.sum(1)
    return Uncertainty(confidence_N, entropy_N, modified_N)


@dataclass(frozen=True, slots=True)
class Signals:
    """`phi_N` of the target; `shadow_phi_MN` of the shadows, of which `keep_MN` says who trained on what.

    Attacks that need no shadows take M = 0. `population_phi_Z` and `shadow_population_phi_MZ` are φ of the
    target and of the shadows on points that none of them was trained on. Raises `UsageError` where shapes do
    not fit or a φ is not a finite number.
    """

    phi_N: Floats
    shadow_phi_MN: Floats
    keep_MN: NDArray[np.bool_]
    population_phi_Z: Floats | None = None
    shadow_population_phi_MZ: Floats | None = None
    uncertainty: Uncertainty | None = None

    def __post_init__(self) -> None:
        shapes = self.phi_N.shape, self.shadow_phi_MN.shape, self.keep_MN.shape
        if shapes[1] != shapes[2] or shapes[1][1:] != shapes[0]:
            raise UsageError(f"phi_N, shadow_phi_MN and keep_MN do not fit together: {shapes}")
        if (self.population_phi_Z is None) != (self.shadow_population_phi_MZ is None):
            raise UsageError("a population needs φ of the target and of the shadow models, both or neither")
        if self.population_phi_Z is not None and self.shadow_population_phi_MZ is not None:
            wanted = (len(self.shadow_phi_MN), *self.population_phi_Z.shape)
            if self.shadow_population_phi_MZ.shape != wanted:
                found = self.shadow_population_phi_MZ.shape
                raise UsageError(f"shadow_population_phi_MZ must have shape {wanted}, got {found}")
        for name in ("phi_N", "shadow_phi_MN", "population_phi_Z", "shadow_population_phi_MZ"):
            values = getattr(self, name)
            if values is not None and not np.isfinite(values).all():
                raise UsageError(
                    f"{name} holds values that are no finite numbers",
                    where="membership signals",
                    remedy="leave out models that diverged in training and examples without an answer",
                )

    @classmethod
    def of_target(cls, phi_N: Floats, uncertainty: Uncertainty | None = None) -> Signals:
        """Signals without shadow models."""
        none = np.empty((0, len(phi_N)))
        return cls(phi_N, none, none.astype(np.bool_), uncertainty=uncertainty)

    @property
    def loss(self) -> Floats:
        """Cross-entropy of the target per example, in nats: log(1 + exp(−φ))."""
        return -log_probability(self.phi_N)
