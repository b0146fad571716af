"""The exact test of pairs: were both sides alike, each difference would have either sign with equal chance.

Fisher's permutation test for pairs (The Design of Experiments, 1935); with differences of ±1 it is the exact
McNemar test (Psychometrika 12 (1947), doi:10.1007/BF02295996). Units are whatever is independent: examples,
or clusters of them with their net differences.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["sign_flip_p"]


def sign_flip_p(net: ArrayLike) -> float:
    """P(|Σ ±net_U| ≥ |Σ net_U|) over fair signs, by convolution; `net` has one whole number a unit."""
    net_U = np.asarray(net, dtype=np.int64)
    sizes_U = np.abs(net_U[net_U != 0])
    if not len(sizes_U):
        return 1.0
    unit = int(np.gcd.reduce(sizes_U))
    chances = np.ones(1)  # of the sums −reach, −reach + 1, …, reach
    for size, count in zip(*np.unique(sizes_U // unit, return_counts=True), strict=True):
        signs = np.zeros(2 * int(size) * int(count) + 1)
        signs[:: 2 * int(size)] = _fair_coins(int(count))
        chances = np.convolve(chances, signs)
    reach = len(chances) // 2
    sums = np.abs(np.arange(-reach, reach + 1))
    return min(1.0, float(chances[sums >= abs(int(net_U.sum())) // unit].sum()))


def _fair_coins(count: int) -> NDArray[np.float64]:
    """Binomial(count, 1/2): the chances of 0, 1, …, count heads."""
    heads = np.arange(count + 1)
    logs = gammaln(count + 1) - gammaln(heads + 1) - gammaln(count - heads + 1) - count * math.log(2)
    chances: NDArray[np.float64] = np.exp(logs)
    return chances
