"""Mean and squared residuals of φ over the shadow models of one side; also with one of them left out.

Legend: M shadow models, N examples. A chosen φ is one of a shadow on the side in question.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from raiaudit.attacks.inference.signals import Floats
from raiaudit.errors import UsageError

__all__ = ["Moments", "of_chosen", "of_others", "require"]

CANCELLED = 1e-6
"""Squared residuals that a subtraction left below this share of what they were are taken anew."""


class Moments(NamedTuple):
    """Over the chosen shadows: their number, mean of φ, sum of squared residuals. Last axis: examples."""

    n: Floats
    mean: Floats
    square: Floats

    def pooled_variance(self) -> Floats:
        """One unbiased variance for all examples: their residuals together."""
        return np.asarray(self.square.sum(-1, keepdims=True) / (self.n - 1).sum(-1, keepdims=True))

    def variance(self, *, shared: bool) -> Floats:
        """Unbiased variance, `shared` by all examples or of each one, and never too small to divide by."""
        pooled = self.pooled_variance()
        # φ that saturated is the same in all shadows: a spread of 0 would call every other value impossible.
        floor = np.maximum(1e-10 * pooled, 1e-30)
        return np.maximum(pooled if shared else self.square / (self.n - 1), floor)


def of_chosen(phi_MN: Floats, chosen_MN: NDArray[np.bool_]) -> Moments:
    """Moments of each example over the shadows chosen for it; where there is none, the mean is 0."""
    n_N = chosen_MN.sum(0).astype(np.float64)
    mean_N = np.where(chosen_MN, phi_MN, 0.0).sum(0) / np.maximum(n_N, 1)
    residual_MN = np.where(chosen_MN, phi_MN - mean_N, 0.0)
    return Moments(n_N, mean_N, np.einsum("mn,mn->n", residual_MN, residual_MN))


def of_others(phi_MN: Floats, chosen_MN: NDArray[np.bool_]) -> Moments:
    """Row m: moments over the chosen shadows other than m. All M rows for little more than one.

    One shadow is taken out of the moments of all by Welford's update run backwards. Where it was nearly all
    of the spread, subtraction would leave no digits, and the others' moments are taken anew.
    """
    every = of_chosen(phi_MN, chosen_MN)
    n_MN, mean_MN, square_MN = (np.empty(phi_MN.shape) for _ in Moments._fields)
    for row, (phi_N, chosen_N) in enumerate(zip(phi_MN, chosen_MN, strict=True)):
        left_N = every.n - chosen_N
        step_N = np.where(chosen_N, phi_N - every.mean, 0.0) / np.maximum(left_N, 1)
        n_MN[row], mean_MN[row] = left_N, every.mean - step_N
        square_MN[row] = every.square - step_N**2 * left_N * every.n
    rows, columns = np.nonzero(square_MN < CANCELLED * every.square)
    if len(rows):
        chosen_MP = chosen_MN[:, columns].copy()
        chosen_MP[rows, np.arange(len(rows))] = False
        _, mean_MN[rows, columns], square_MN[rows, columns] = of_chosen(phi_MN[:, columns], chosen_MP)
    return Moments(n_MN, mean_MN, square_MN)


def require(moments: Moments, each: int, *, some: int = 1, where: str, side: str) -> None:
    """`UsageError` where an example has fewer than `each` shadows on a side, or none has `some`."""
    n = moments.n
    if not n.size or n.min() < each or n.max() < some:
        worst, fewest = (int(n.argmin()) % n.shape[-1], int(n.min())) if n.size else (0, 0)
        raise UsageError(
            f"too few shadow models trained {side} example {worst}: {fewest}",
            where=where,
            remedy="train more shadows, each point in half of them; offline needs only those without it",
        )
