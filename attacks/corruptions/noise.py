"""Noise on every value of an image (arXiv:1903.12261). Shapes: x_BCHW float in [0, 1].

Within a corruption an image meets the same random numbers at every severity, so that a larger severity is
more of the same noise and not another one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from raiaudit.attacks import randomness
from raiaudit.attacks.corruptions.severities import Severities, example_ids

__all__ = [
    "GAUSSIAN_NOISE",
    "IMPULSE_NOISE",
    "SHOT_NOISE",
    "SPECKLE_NOISE",
    "gaussian_noise",
    "impulse_noise",
    "poisson_quantile",
    "shot_noise",
    "speckle_noise",
]

GAUSSIAN_NOISE = Severities(small=(0.04, 0.06, 0.08, 0.09, 0.10), large=(0.08, 0.12, 0.18, 0.26, 0.38))
"""Standard deviation, in units of the [0, 1] range."""

SHOT_NOISE = Severities(small=(500.0, 250.0, 100.0, 75.0, 50.0), large=(60.0, 25.0, 12.0, 5.0, 3.0))
"""Photons that a value of 1 stands for."""

IMPULSE_NOISE = Severities(small=(0.01, 0.02, 0.03, 0.05, 0.07), large=(0.03, 0.06, 0.09, 0.17, 0.27))
"""Share of the values that become 0 or 1."""

SPECKLE_NOISE = Severities(small=(0.06, 0.10, 0.12, 0.16, 0.20), large=(0.15, 0.20, 0.35, 0.45, 0.60))
"""Standard deviation, relative to the value."""

_FEW = 4.0  # below this mean the asymptotic series is not good enough, and counting up is quick
_MOST = 32  # P(Poisson(4) > 32) < 1e-18


def gaussian_noise(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """Independent normal noise, clipped."""
    sigma = GAUSSIAN_NOISE.of(x_BCHW, severity)
    noise = _normal(x_BCHW, ids, seed, "gaussian_noise")
    return noise.mul_(sigma).add_(x_BCHW).clamp_(0, 1)


def shot_noise(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """Photon counts: a value x becomes Poisson(c·x) / c, clipped."""
    photons = SHOT_NOISE.of(x_BCHW, severity)
    noise = _normal(x_BCHW, ids, seed, "shot_noise")
    return poisson_quantile(noise, x_BCHW * photons).div_(photons).clamp_(0, 1)


def impulse_noise(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """Salt and pepper: a share of the values, in each channel by itself, turns 0 or 1, equally often."""
    amount = IMPULSE_NOISE.of(x_BCHW, severity)
    unit = randomness.uniform(example_ids(x_BCHW, ids), x_BCHW.shape[1:], seed=seed, stream="impulse_noise")
    # The last of the 24 random bits says nothing about the size, so it is free to choose the colour.
    colour = (unit * 2.0**24).remainder_(2).to(x_BCHW.dtype)
    return torch.where(unit < amount, colour, x_BCHW)


def speckle_noise(
    x_BCHW: Tensor, severity: int, *, seed: int, ids: Sequence[int] | Tensor | None = None
) -> Tensor:
    """Normal noise in proportion to the value, clipped."""
    sigma = SPECKLE_NOISE.of(x_BCHW, severity)
    noise = _normal(x_BCHW, ids, seed, "speckle_noise")
    return noise.mul_(sigma).mul_(x_BCHW).add_(x_BCHW).clamp_(0, 1)


def _normal(x_BCHW: Tensor, ids: Sequence[int] | Tensor | None, seed: int, stream: str) -> Tensor:
    noise = randomness.normal(example_ids(x_BCHW, ids), x_BCHW.shape[1:], seed=seed, stream=stream)
    return noise.to(x_BCHW.dtype)


def poisson_quantile(normal: Tensor, mean: Tensor) -> Tensor:
    """The Poisson variate with the rank of a standard normal one: the k with P(X < k) ≤ Φ(normal) < P(X ≤ k).

    Means of 4 and more by the first terms of the asymptotic series of Giles, ACM Trans. Math. Softw. 42
    (2016), doi:10.1145/2699466: off by one in fewer than 2 of 1,000 draws at mean 4, in fewer as means
    grow. Smaller means by counting up, which is exact but for rounding. Shapes are equal; the result has
    them too.
    """
    normal_N, mean_N = normal.flatten(), mean.flatten()
    enough_N = mean_N.clamp(min=_FEW)
    root_N, square_N = enough_N.sqrt(), normal_N * normal_N
    series_N = (-8 / 405 + square_N * (7 / 810 + square_N / 270)).div_(enough_N)
    series_N += (-1 / 36 - square_N / 72).mul_(normal_N).div_(root_N)
    series_N += square_N.div_(6).add_(1 / 3).addcmul_(root_N, normal_N).add_(mean_N)
    counts_N = series_N.floor_().clamp_(min=0)
    few_M = (mean_N < _FEW).nonzero()[:, 0]
    counts_N[few_M] = _counted_up(normal_N[few_M], mean_N[few_M])
    return counts_N.view(normal.shape)


def _counted_up(normal_N: Tensor, mean_N: Tensor) -> Tensor:
    rank_N = torch.special.ndtr(normal_N)
    term_N = torch.exp(-mean_N)
    below_N, count_N = term_N.clone(), torch.zeros_like(mean_N)
    for k in range(1, _MOST + 1):
        beyond_N = rank_N >= below_N
        count_N += beyond_N
        if not beyond_N.any():
            break
        below_N += term_N.mul_(mean_N).div_(k)
    return count_N
