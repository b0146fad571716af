"""Membership by labels alone (Choquette-Choo et al., arXiv:2007.14321): members lie far from the boundary.

Two ways to look at the distance when the model answers nothing but its label. Noise: how often the model is
still right about x + σ·N(0, I), at several σ. Distance: the size of the smallest change that a search by
labels found (HopSkipJump, say), passed in. Gaussian noise is for inputs that are numbers; for categories and
texts give the answers about copies of your own making to `agreement`.

Legend: N examples, A answers about an example, S standard deviations. Larger means more likely a member.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raiaudit.attacks.inference.signals import Floats
from raiaudit.errors import UsageError

__all__ = ["agreement", "distance_score", "noise_agreement", "noise_score"]

Labeller = Callable[[NDArray[Any]], NDArray[np.integer[Any]]]
"""x → one label for each row."""


def agreement(answers_AN: NDArray[np.integer[Any]], y_N: NDArray[np.integer[Any]]) -> Floats:
    """Share of answers about an example that are its label: of noisy, shifted or rotated copies."""
    return np.asarray((np.asarray(answers_AN) == np.asarray(y_N)).mean(0), dtype=np.float64)


def noise_agreement(
    labels_of: Labeller,
    x: NDArray[Any],
    y_N: NDArray[np.integer[Any]],
    *,
    sigmas: Sequence[float],
    draws: int = 10,
    bounds: tuple[float, float] | None = None,
    seed: int = 0,
) -> Floats:
    """How often the model is right about each x under noise, agreement_SN.

    Costs `len(sigmas)` × `draws` queries an example. `bounds` clip the noisy x to the box inputs live in.
    Raises `UsageError` without a σ above 0 or a draw.
    """
    if not sigmas or min(sigmas) <= 0 or draws < 1:
        raise UsageError(
            f"noise needs standard deviations above 0 and at least one draw, got {sigmas}, {draws}",
            where="label-only attack",
        )
    rng = np.random.default_rng(seed)
    low, high = bounds or (-np.inf, np.inf)
    right_SN = np.zeros((len(sigmas), len(y_N)))
    for _ in range(draws):
        # The same direction at every σ: the curves of one example then differ by σ alone.
        noise = rng.standard_normal(x.shape)
        for row, sigma in enumerate(sigmas):
            noisy = np.clip(x + sigma * noise, low, high).astype(x.dtype, copy=False)
            right_SN[row] += np.asarray(labels_of(noisy)) == y_N
    return right_SN / draws


def noise_score(agreement_SN: Floats, correct_N: NDArray[np.bool_]) -> Floats:
    """Agreement averaged over σ, below 0 for what the model gets wrong without noise.

    The paper calls a misclassified example a non-member outright; among those, agreement still ranks.
    """
    return np.asarray(agreement_SN.mean(0) - np.where(correct_N, 0.0, 1.0 + 1e-9))


def distance_score(distance_N: Floats, correct_N: NDArray[np.bool_]) -> Floats:
    """Distance to the boundary where the model is right, 0 where it is wrong (the paper's definition).

    An infinite distance (the search found no change of label) counts as twice the largest found. Raises
    `UsageError` for a distance that is negative or no number.
    """
    distance_N = np.asarray(distance_N, dtype=np.float64)
    if np.isnan(distance_N).any() or (distance_N < 0).any():
        raise UsageError("a distance to the boundary is 0 or more", where="label-only attack")
    found = distance_N[np.isfinite(distance_N)]
    beyond = 2 * found.max(initial=0.0) or 1.0
    return np.where(correct_N, np.where(np.isfinite(distance_N), distance_N, beyond), 0.0)
