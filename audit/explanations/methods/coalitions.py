"""Shapley values from coalitions that all examples share: one design, one factorisation for all of them.

Shapley, doi:10.1515/9781400881970-018; as the solution of a weighted least-squares problem: S. M. Lundberg,
S.-I. Lee, arXiv:1705.07874; with paired (antithetic) coalitions: I. Covert, S.-I. Lee, arXiv:2012.01536.
A coalition of s of n players weighs (n − 1)/(C(n, s)·s·(n − s)); that the values add up to v(all) − v(none)
is a constraint of the solution, not a weight. Sizes of which the budget can afford every coalition are taken
whole; the rest of it is drawn without repetition, each with its complement, players in equal shares.

Shapes: n players, M coalitions, B games. Values are linear in the answers: φ = answers · matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb, factorial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Design", "every_coalition", "paired_design"]


@dataclass(frozen=True, slots=True)
class Design:
    """`present_MN` the coalitions, from the empty one to the full one; φ_BN = v_BM · `matrix_MN`."""

    present_MN: NDArray[np.bool_]
    matrix_MN: NDArray[np.float64]


@lru_cache(maxsize=64)
def every_coalition(n: int) -> Design:
    """All 2ⁿ coalitions, and Shapley's formula: φᵢ = Σ_S |S|!(n−|S|−1)!/n! (v(S ∪ i) − v(S))."""
    present_MN = (np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1
    size_M = present_MN.sum(axis=1)
    joined = np.array([factorial(max(s - 1, 0)) * factorial(n - s) / factorial(n) for s in range(n + 1)])
    left = np.array([factorial(s) * factorial(max(n - s - 1, 0)) / factorial(n) for s in range(n + 1)])
    return Design(present_MN, np.where(present_MN, joined[size_M, None], -left[size_M, None]))


@lru_cache(maxsize=256)
def paired_design(n: int, samples: int, seed: int = 0) -> Design:
    """About `samples` coalitions beside the empty and the full one; at least every single player and its
    complement, at most all there are, and then the values are Shapley's own.
    """
    if n < 2:
        return every_coalition(n)
    kept_MN, weight_M = _coalitions(n, max(samples, 2 * n), np.random.default_rng([seed, n, samples]))
    weighted_NM = kept_MN.T * weight_M
    solved_NK = np.linalg.solve(weighted_NM @ kept_MN, np.c_[weighted_NM, np.ones(n)])
    free_NM, unit_N = solved_NK[:, :-1], solved_NK[:, -1:]
    # Lagrange: φ = free·(v − v₀) − unit·(Σ free·(v − v₀) − Δ)/Σ unit, Δ = v(all) − v(none).
    inner_NM = free_NM - unit_N * (free_NM.sum(axis=0) / unit_N.sum())
    share_N1 = unit_N / unit_N.sum()
    matrix_NM = np.c_[-inner_NM.sum(axis=1, keepdims=True) - share_N1, inner_NM, share_N1]
    present_MN = np.r_[np.zeros((1, n)), kept_MN, np.ones((1, n))].astype(bool)
    return Design(present_MN, np.ascontiguousarray(matrix_NM.T))


def _coalitions(
    n: int, samples: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The coalitions between none and all, M×n of 0 and 1, with their weights."""
    chosen: list[frozenset[int]] = []
    weights: list[float] = []

    def add(size: int, some: list[frozenset[int]], mass: float) -> None:
        """Both of each pair; in the middle the complements are of the same size, and pairs are met once."""
        everyone = frozenset(range(n))
        whole = list(dict.fromkeys([*some, *(everyone - coalition for coalition in some)]))
        chosen.extend(whole)
        weights.extend([mass / len(whole)] * len(whole))

    left, sizes = samples, list(range(1, n // 2 + 1))
    # The kernel's mass of a size and its complement's.
    mass = {s: (n - 1) / (s * (n - s)) * (1 if 2 * s == n else 2) for s in sizes}
    while sizes and (every := comb(n, sizes[0]) * (1 if 2 * sizes[0] == n else 2)) <= left:
        size = sizes.pop(0)
        add(size, [frozenset(some) for some in combinations(range(n), size)], mass[size])
        left -= every
    total = sum(mass[s] for s in sizes)
    drawn = {s: _drawn(n, s, round(left / 2 * mass[s] / total), rng) for s in sizes}
    reached = sum(mass[s] for s in sizes if drawn[s])
    for s, some in drawn.items():
        if some:
            add(s, some, mass[s] * total / reached)
    kept_MN = np.zeros((len(chosen), n))
    for row, coalition in enumerate(chosen):
        kept_MN[row, list(coalition)] = 1
    return kept_MN, np.array(weights)


def _drawn(n: int, size: int, count: int, rng: np.random.Generator) -> list[frozenset[int]]:
    """Different coalitions of a size, cut from shuffled players so that all appear about equally often."""
    everyone = frozenset(range(n))
    found: dict[frozenset[int], None] = {}
    most = comb(n, size) // (2 if 2 * size == n else 1)
    while len(found) < min(count, most):
        order = rng.permutation(n).tolist()
        for start in range(0, n - size + 1, size):
            coalition = frozenset(order[start : start + size])
            if len(found) < count and not (2 * size == n and everyone - coalition in found):
                found[coalition] = None
    return list(found)
