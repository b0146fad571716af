"""Bounds over all pairs of G groups, without a loop over G² of them.

Up to `_FEW` groups every pair is looked at. Beyond, one bound of an extreme needs all pairs and the other
does not: the widest gap is at least the lower limit of *any* pair, so the pairs of the most extreme groups
will do; its upper limit is the largest over all pairs, of which most are ruled out by a cheaper bound first
(hypot(a, b) ≤ a + b; an accepted ratio has both rates inside their Wilson intervals). The result is exact, or
on the side where any pair will do, valid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from raiaudit.audit.statistics.score_intervals import koopman_accepts, koopman_limits, wilson_limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Limited", "gap_bounds", "ratio_bounds"]

_FEW = 64
_EXTREME = 32
_CHUNK = 1 << 20


class Limited(NamedTuple):
    """A value a group and its limits at one confidence."""

    value_G: Array
    low_G: Array
    high_G: Array


def gap_bounds(groups: Limited) -> tuple[float, float]:
    """The largest lower and the largest upper limit of any difference of two groups' values."""
    if len(groups.value_G) <= _FEW:
        low, high = _differences(groups, groups)
        return float(low.max()), float(high.max())
    up, down = np.argsort(-groups.low_G)[:_EXTREME], np.argsort(groups.high_G)[:_EXTREME]
    low = _differences(_of(groups, up), _of(groups, down), up, down)[0]
    top, bottom = np.argsort(-groups.high_G)[:_EXTREME], np.argsort(groups.low_G)[:_EXTREME]
    best = float(_differences(_of(groups, top), _of(groups, bottom), top, bottom)[1].max())
    first = np.flatnonzero(groups.high_G - groups.low_G.min() >= best)
    second = np.flatnonzero(groups.high_G.max() - groups.low_G >= best)
    rows = max(1, _CHUNK // max(1, len(second)))
    for start in range(0, len(first), rows):
        some = first[start : start + rows]
        high = _differences(_of(groups, some), _of(groups, second), some, second)[1]
        best = max(best, float(high.max()))
    return float(low.max()), best


def _of(groups: Limited, index: NDArray[np.int64]) -> Limited:
    return Limited(*(part[index] for part in groups))


def _differences(
    a: Limited, b: Limited, index_a: NDArray[np.int64] | None = None, index_b: NDArray[np.int64] | None = None
) -> tuple[Array, Array]:
    """Limits of every a − b, by the squares of the distances to the groups' own limits; −∞ of itself."""
    p, q = a.value_G[:, None], b.value_G
    low = p - q - np.hypot(p - a.low_G[:, None], b.high_G - q)
    high = p - q + np.hypot(a.high_G[:, None] - p, q - b.low_G)
    ids_a = np.arange(len(a.value_G)) if index_a is None else index_a
    ids_b = np.arange(len(b.value_G)) if index_b is None else index_b
    itself = ids_a[:, None] == ids_b
    low[itself], high[itself] = -np.inf, -np.inf
    return low, high


def ratio_bounds(x_G: Array, n_G: Array, confidence: float) -> tuple[float, float]:
    """The smallest lower and the smallest upper Koopman limit of any ratio of two groups' rates."""
    groups = len(x_G)
    if groups <= _FEW:
        i, j = np.triu_indices(groups, 1)
        lower_P, upper_P = koopman_limits(x_G[i], n_G[i], x_G[j], n_G[j], confidence)
        with np.errstate(divide="ignore"):
            inverse_low_P, inverse_high_P = 1 / upper_P, 1 / lower_P
        return float(np.minimum(lower_P, inverse_low_P).min()), float(
            np.minimum(upper_P, inverse_high_P).min()
        )
    low_G, high_G = wilson_limits(x_G, n_G, confidence)
    # A group twice among the extremes gives a ratio with itself, of interval around 1: it decides nothing.
    down, up = np.argsort(high_G)[:_EXTREME], np.argsort(-low_G)[:_EXTREME]
    i, j = (index.ravel() for index in np.meshgrid(down, up))
    high = float(koopman_limits(x_G[i], n_G[i], x_G[j], n_G[j], confidence)[1].min())
    down, up = np.argsort(low_G)[:_EXTREME], np.argsort(-high_G)[:_EXTREME]
    i, j = (index.ravel() for index in np.meshgrid(down, up))
    other = i != j
    best = float(koopman_limits(x_G[i], n_G[i], x_G[j], n_G[j], confidence)[0][other].min())
    rows = max(1, _CHUNK // groups)
    for start in range(0, groups, rows):
        i, j = np.nonzero(low_G[start : start + rows, None] < best * high_G)
        i += start
        i, j = i[i != j], j[i != j]
        lower = koopman_accepts(best * (1 - 1e-9), x_G[i], n_G[i], x_G[j], n_G[j], confidence)
        i, j = i[lower], j[lower]
        if len(i):
            best = min(best, float(koopman_limits(x_G[i], n_G[i], x_G[j], n_G[j], confidence)[0].min()))
    return best, high
