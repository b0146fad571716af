"""Score intervals of many proportions and ratios at once.

Wilson (1927), doi:10.1080/01621459.1927.10502953 · Koopman (1984), doi:10.2307/2531405.

Arguments broadcast; counts may be effective ones (no whole numbers), successes ≤ n. With n = 0 an interval is
the whole range of its quantity. Each function gives (low, high), two arrays of the broadcast shape. Errors:
`ValueError` for confidences outside (0, 1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Limits = tuple[NDArray[np.float64], NDArray[np.float64]]
    Array = NDArray[np.float64]

__all__ = ["koopman_accepts", "koopman_limits", "wilson_limits"]

_STEPS = 48
_TINY = 1e-6


def wilson_limits(successes: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> Limits:
    """Proportions."""
    x, n_ = _floats(successes, n)
    z2 = _quantile(confidence) ** 2
    spread = np.divide(x * (n_ - x), n_, out=np.zeros_like(x), where=n_ > 0)
    centre, half = x + z2 / 2, np.sqrt(z2) * np.sqrt(spread + z2 / 4)
    low, high = (centre - half) / (n_ + z2), (centre + half) / (n_ + z2)
    return np.where(x <= 0, 0.0, low.clip(0, 1)), np.where(x >= n_, 1.0, high.clip(0, 1))


def koopman_limits(
    x: ArrayLike, m: ArrayLike, y: ArrayLike, n: ArrayLike, confidence: float = 0.95
) -> Limits:
    """Ratios (x/m) / (y/n); `high` is ∞ where y = 0, and [0, ∞] where nothing was observed."""
    x_, m_, y_, n_ = _floats(x, m, y, n)
    known = (m_ > 0) & (n_ > 0) & (x_ + y_ > 0)
    m_, n_ = np.where(known, m_, 1.0), np.where(known, n_, 1.0)
    x_, y_ = np.where(known, x_, 1.0), np.where(known, y_, 1.0)
    limit = _quantile(confidence) ** 2

    def accepted(log_ratio: Array) -> NDArray[np.bool_]:
        return np.asarray(_koopman(np.exp(log_ratio), x_, m_, y_, n_) <= limit)

    # An accepted ratio has both rates inside their Wilson intervals: the limits are no further away.
    (low_x, high_x), (low_y, high_y) = wilson_limits(x_, m_, confidence), wilson_limits(y_, n_, confidence)
    inside = np.log(np.maximum(x_, _TINY) / m_) - np.log(np.maximum(y_, _TINY) / n_)
    least = np.log(np.maximum(low_x, _TINY / m_)) - np.log(high_y)
    most = np.log(high_x) - np.log(np.maximum(low_y, _TINY / n_))
    ends = np.stack([np.minimum(least, inside), np.maximum(most, inside)])
    low, high = np.exp(_last_accepted(accepted, inside, ends))
    return np.where(known & (x_ > 0), low, 0.0), np.where(known & (y_ > 0), high, np.inf)


def koopman_accepts(
    theta: float, x: ArrayLike, m: ArrayLike, y: ArrayLike, n: ArrayLike, confidence: float = 0.95
) -> NDArray[np.bool_]:
    """Whether `theta` > 0 lies in Koopman's interval; all n positive, x + y too."""
    statistic = _koopman(np.float64(theta), *_floats(x, m, y, n))
    return np.asarray(statistic <= _quantile(confidence) ** 2)


def _koopman(theta: Array | np.float64, x: Array, m: Array, y: Array, n: Array) -> Array:
    """Squared score statistic; the constrained likelihood is greatest at the smaller root of a quadratic."""
    a, b, c = (m + n) * theta, -(theta * (m + y) + x + n), x + y
    q = 2 * c / (-b + np.sqrt(np.maximum(0.0, b * b - 4 * a * c)))
    p = np.minimum(1.0, theta * q)
    variance = p * (1 - p) / m + theta * theta * q * (1 - q) / n
    gap2 = (x / m - theta * y / n) ** 2
    degenerate = np.where(gap2 < 1e-24, 0.0, np.inf)
    return np.where(variance > 0, gap2 / np.where(variance > 0, variance, 1.0), degenerate)


def _last_accepted(accepted: Callable[[Array], NDArray[np.bool_]], inside: Array, outside: Array) -> Array:
    """Where `accepted` turns false between the two, by bisection; `outside` itself where it is accepted."""
    near = np.where(accepted(outside), outside, inside)
    far = outside
    for _ in range(_STEPS):
        middle = (near + far) / 2
        good = accepted(middle)
        near, far = np.where(good, middle, near), np.where(good, far, middle)
    return near


def _floats(*values: ArrayLike) -> list[Array]:
    return [np.asarray(v, dtype=np.float64).copy() for v in np.broadcast_arrays(*values)]


def _quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    return float(ndtri(0.5 + confidence / 2))
