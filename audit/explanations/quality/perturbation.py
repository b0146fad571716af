"""Faithfulness by deletion and insertion: does removing what a map calls important change the answer?

Deletion and insertion as in RISE (arXiv:1806.07421), most relevant first (Samek et al.,
arXiv:1509.06321): features are replaced by the baseline in the order of a ranking, and the probability
of the explained class is traced. The area under the deletion curve is small for a faithful map, that
under the insertion curve large. A map is worth showing only if it beats random rankings: the null.

Shapes: B examples, E inputs' elements, F features, T+1 levels of removal from 0 to everything;
rank_BF 0 = most relevant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from raiaudit.audit.explanations.methods.views import View

__all__ = ["area", "ranking", "shuffled", "trace"]


def ranking(
    scores_BF: NDArray[np.float64], present_BF: NDArray[np.bool_], rngs: Sequence[np.random.Generator]
) -> NDArray[np.int64]:
    """Ranks by descending score, ties in random order; absent features (padding) come last."""
    ranks = np.empty(scores_BF.shape, dtype=np.int64)
    for row, rng in enumerate(rngs):
        ties = rng.random(scores_BF.shape[1])
        order = np.lexsort((ties, -scores_BF[row], ~present_BF[row]))
        ranks[row, order] = np.arange(len(order))
    return ranks


def shuffled(present_BF: NDArray[np.bool_], rngs: Sequence[np.random.Generator]) -> NDArray[np.int64]:
    """The ranking of a map that says nothing."""
    return ranking(np.zeros(present_BF.shape), present_BF, rngs)


def trace(
    view: View,
    rank_BF: NDArray[np.int64],
    target_B: Tensor,
    *,
    levels: int,
    insert: bool = False,
    chunk: int = 512,
) -> NDArray[np.float64]:
    """Probability of the target with the k most relevant features removed (or alone kept), B×(levels+1)."""
    import torch

    rank = torch.from_numpy(rank_BF).to(view.x.device)
    count_B = view.present_BF.sum(1)
    B = len(rank)
    level_P = torch.arange(levels + 1, device=rank.device).repeat_interleave(B)
    row_P = torch.arange(B, device=rank.device).repeat(levels + 1)
    probabilities = []
    with torch.no_grad():
        for level, rows in zip(torch.split(level_P, chunk), torch.split(row_P, chunk), strict=True):
            moved = (count_B[rows] * level / levels).round()
            among_first = rank[rows] < moved[:, None]
            removed = (~among_first if insert else among_first) & view.present_BF[rows]
            logits = view.logits(view.without(rows, removed), rows).double()
            probabilities.append(logits.softmax(1).gather(1, target_B[rows, None])[:, 0].cpu())
    return torch.cat(probabilities).view(levels + 1, B).T.numpy()


def area(curve_BT: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area under each curve over the fraction removed, in [0, 1], by the trapezoid rule."""
    middle: NDArray[np.float64] = (curve_BT[:, 1:] + curve_BT[:, :-1]).mean(axis=1) / 2
    return middle
