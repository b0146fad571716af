"""Several tests at once: p-values adjusted so that few of the findings are false.

Benjamini and Hochberg, J. R. Stat. Soc. B 57 (1995) 289, doi:10.1111/j.2517-6161.1995.tb02031.x: rejecting
what is at most α leaves an expected share of at most α false rejections, for independent or positively
dependent tests. (Holm's correction, which bounds the chance of any false one, is in `replicates`.)
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["benjamini_hochberg"]


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Each p-value adjusted for all that are defined; None, a test that was not made, stays None."""
    adjusted: list[float | None] = [None] * len(p_values)
    ordered = sorted(((p, i) for i, p in enumerate(p_values) if p is not None), reverse=True)
    smallest = 1.0
    for behind, (p, i) in enumerate(ordered):
        rank = len(ordered) - behind
        smallest = min(smallest, p * len(ordered) / rank)
        adjusted[i] = smallest
    return adjusted
