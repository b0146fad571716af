"""One perturbation trace of a map, from which all faithfulness metrics follow (`trace_metrics`).

The features of an example are ranked once. Two curves are walked over the same ranking: most relevant removed
first (MoRF) and least relevant removed first (LeRF; Samek et al., arXiv:1509.06321). Removed features take
the view's baseline. Keeping only the k most relevant is removing the others, the least relevant first, so
insertion and sufficiency are read off the same curves and cost no forward. What several rankings of one
example share (nothing removed, everything removed) is asked once.

Shapes: B examples, F features, T = levels + 1 points from nothing removed to everything; rank 0 = most
relevant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from raiaudit.audit.explanations.methods.views import View

__all__ = ["Trace", "answers", "perturb"]

_CHUNK = 128
"""Inputs asked at once: small enough for activations to stay in a processor's cache."""


@dataclass(frozen=True, slots=True)
class Trace:
    """`most_BT`, `least_BT`: the explained class's probability while the most (least) relevant go first;
    `logit_BT` its logit while the most relevant go first; `moved_BT` how many features are gone by then.
    """

    most_BT: NDArray[np.float64]
    least_BT: NDArray[np.float64]
    logit_BT: NDArray[np.float64]
    moved_BT: NDArray[np.int64]


def perturb(
    view: View, ranks: Sequence[NDArray[np.int64]], target_B: Tensor, *, levels: int, chunk: int = _CHUNK
) -> list[Trace]:
    """A trace for each of several rankings B×F of the same examples: 2·(levels − 1) forwards each, and 2.

    At most `chunk` perturbed inputs exist at once. With fewer features than levels some levels repeat.
    """
    import torch

    B, device = len(view.x), view.x.device
    count_B = view.present_BF.sum(1)
    moved_BT = (count_B[:, None] * torch.arange(levels + 1, device=device) / levels).round().long()
    inner, rows_B = levels - 1, torch.arange(B, device=device)
    ends = [
        answers(view, gone[:, None] & view.present_BF, rows_B, target_B, chunk)
        for gone in torch.tensor([[False], [True]], device=device).expand(2, B)
    ]
    row_P = rows_B.repeat_interleave(inner)
    traces = []
    for rank_BF in ranks:
        rank = torch.from_numpy(rank_BF).to(device)
        curves = []
        for least in (False, True):
            parts = []
            for part in torch.split(torch.arange(B * inner, device=device), chunk):
                rows = row_P[part]
                step = 1 + part % inner
                # Least relevant first: what stays are the most relevant, as many as insertion has by then.
                first = rank[rows] < moved_BT[rows, levels - step if least else step][:, None]
                removed = (~first if least else first) & view.present_BF[rows]
                parts.append(answers(view, removed, rows, target_B, chunk))
            middle_2BT = torch.cat(parts, dim=1).view(2, B, inner)
            curves.append(
                torch.cat([ends[0][..., None], middle_2BT, ends[1][..., None]], dim=2).cpu().numpy()
            )
        traces.append(Trace(curves[0][0], curves[1][0], curves[0][1], moved_BT.cpu().numpy()))
    return traces


def answers(view: View, removed_RF: Tensor, rows_R: Tensor, target_B: Tensor, chunk: int = _CHUNK) -> Tensor:
    """Probability and logit of the target with features removed, 2×R, float64."""
    import torch

    parts = []
    with torch.no_grad():
        for removed, rows in zip(torch.split(removed_RF, chunk), torch.split(rows_R, chunk), strict=True):
            points = view.without(rows, removed)
            if points.dim() == 4:
                # Convolutions are quicker with channels last; a clone has these strides even for one channel.
                points = points.clone(memory_format=torch.channels_last)
            logits = view.logits(points, rows).double()
            both = torch.stack([logits.softmax(1), logits])
            parts.append(both.gather(2, target_B[rows].view(1, -1, 1).expand(2, -1, 1))[..., 0])
    return torch.cat(parts, dim=1)
